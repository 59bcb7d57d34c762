"""The tree: Module, the builder, the training loop, Session, and the contracts."""
