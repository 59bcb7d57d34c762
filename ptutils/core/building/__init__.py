"""From configs to objects: names, trust, checks, and the builder itself."""
