"""The contract of a database as tests, one file per part of it."""
