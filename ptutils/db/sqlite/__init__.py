"""The embedded database: documents in one SQLite file, tensors in packs beside it."""
