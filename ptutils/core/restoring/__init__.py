"""Restoring: a stored state, or a part of one, goes into a tree that may have grown."""
