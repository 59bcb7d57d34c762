"""How many examples a search tries: ``make fuzz`` tries ten thousand each."""

from __future__ import annotations

import os

__all__ = ["examples"]

_COUNT = int(os.environ.get("PTUTILS_FUZZ") or 0)


def examples(few: int) -> int:
    """Return how many examples to try: ``few``, or those of PTUTILS_FUZZ."""
    return _COUNT or few
