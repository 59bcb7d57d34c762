"""Proving on an experiment itself that a run which was killed resumes exactly."""
