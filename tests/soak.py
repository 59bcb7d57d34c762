"""How often the tests repeat what chance decides: ``make soak`` does it in full."""

from __future__ import annotations

import os

__all__ = ["IS_SOAK", "times"]

IS_SOAK = os.environ.get("PTUTILS_SOAK") == "1"


def times(count: int) -> int:
    """Return ``count`` in a soak, and a tenth of it otherwise."""
    return count if IS_SOAK else max(1, count // 10)
