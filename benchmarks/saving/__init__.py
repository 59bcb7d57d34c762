"""What ``benchmarks/checkpoint.py`` measures: checkpoints of ptutils, and its peers."""
