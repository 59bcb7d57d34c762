"""Writing one run: its recorder, and a writer for each database it is kept in."""
