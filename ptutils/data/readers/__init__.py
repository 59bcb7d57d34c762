"""One file per format that samples are read from; the contract is in ``reader``."""
