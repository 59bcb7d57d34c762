"""``python -m ptutils.cli`` does what the ``ptutils`` command does."""

from __future__ import annotations

from ptutils.cli.main import main

if __name__ == "__main__":
    main()
