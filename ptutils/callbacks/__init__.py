"""The catalogue of callbacks: one file per family."""
