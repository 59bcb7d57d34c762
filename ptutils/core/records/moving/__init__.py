"""Moving runs between databases: exact copies, again and again."""
