"""What is shown of runs: the columns that tell them apart, as tables and curves."""
