"""Decoding: one walk over document and sidecar together."""

from __future__ import annotations

from ptutils.meta.codec.encoded import Encoded
from ptutils.meta.values import Value

__all__ = ["decode"]


def decode(encoded: Encoded, *, device: str | None = "cpu") -> Value:
    """Bring back what :func:`encode` took."""
    return encoded.document
