"""Encoding: one walk over a value."""

from __future__ import annotations

from ptutils.meta.codec.encoded import Encoded
from ptutils.meta.values import Value

__all__ = ["encode"]


def encode(value: Value, *, path: str = "") -> Encoded:
    """Write a value down as document, sidecar and artifacts."""
    return Encoded(document=value)
