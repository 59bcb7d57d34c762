"""What a database holds of runs, how it is written, found and brought back."""
