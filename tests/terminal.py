"""A terminal that tests can watch."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect

__all__ = ["Terminal", "open_terminal", "unstyled"]

Terminal = Callable[..., "pexpect.spawn[str]"]


def open_terminal(
    folder: Path, *arguments: str, columns: int = 100
) -> pexpect.spawn[str]:
    """Start Python in a terminal of its own, in ``folder``."""
    environment = {k: v for k, v in os.environ.items() if k != "COLUMNS"}
    return pexpect.spawn(
        sys.executable,
        list(arguments),
        cwd=str(folder),
        dimensions=(24, columns),
        encoding="utf-8",
        env={**environment, "TERM": "xterm"},
        timeout=60,
    )


def unstyled(text: str) -> str:
    """Return what a terminal shows, without colours and movements."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
