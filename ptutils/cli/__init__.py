"""The ``ptutils`` command: one file per verb, over the Python interface alone."""
