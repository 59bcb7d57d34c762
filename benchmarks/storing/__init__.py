"""What ``benchmarks/database.py`` measures: ptutils' databases, and its peers."""
