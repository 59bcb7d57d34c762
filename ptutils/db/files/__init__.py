"""The database as a folder that a person can read."""
