"""Upkeep of a database: what nothing needs is removed, what is damaged is found."""
