"""What stands in for a numerical library: one file each, the only ones to import it."""
