"""MetaModules: what is written down about a Module, and the codec that writes it."""
