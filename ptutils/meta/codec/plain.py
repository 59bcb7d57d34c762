"""Plain values as canonical JSON text."""

from __future__ import annotations

import json

from ptutils.meta.values import Value

__all__ = ["dumps", "loads"]


def dumps(plain: Value) -> str:
    """Write a plain value as canonical JSON text."""
    return json.dumps(plain)


def loads(text: str) -> Value:
    """Read what :func:`dumps` wrote."""
    return json.loads(text)
