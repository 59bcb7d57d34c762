"""What can be done with a stored run: go on, ask, label."""
