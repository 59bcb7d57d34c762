"""The training loop: stages, their compilation, and what is due when."""
