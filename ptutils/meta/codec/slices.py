"""Slices: large artifacts are addressed piece by piece, small ones as a whole.

An artifact of at most 64 MiB is one slice. A larger one is cut every 16 MiB, so that
one of which little changed shares most slices with what it was. The digest of one slice
is the blake3 of its bytes; that of several is the blake3 of their digests, as raw bytes
one after another. So the digest of an artifact does not depend on how it is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from blake3 import blake3

from ptutils.meta.codec.encoded import Buffer

__all__ = ["MOST_WHOLE_BYTES", "SLICE_BYTES", "content_digest", "joined", "slices"]

MOST_WHOLE_BYTES: Final = 64 << 20
"""An artifact up to this size is one slice."""

SLICE_BYTES: Final = 16 << 20
"""The size of the slices of a larger one, but for the last."""


def slices(buffer: Buffer) -> list[memoryview]:
    """Return the slices of an artifact, which alias its bytes."""
    view = memoryview(buffer)
    if len(view) <= MOST_WHOLE_BYTES:
        return [view]
    return [
        view[start : start + SLICE_BYTES] for start in range(0, len(view), SLICE_BYTES)
    ]


def joined(digests: Sequence[str]) -> str:
    """Return the digest of an artifact from those of its slices, in hexadecimal."""
    if len(digests) == 1:
        return digests[0]
    return blake3(b"".join(map(bytes.fromhex, digests))).hexdigest()


def content_digest(buffer: Buffer) -> str:
    """Return the digest of an artifact, hashed on one thread.

    Example:
        >>> content_digest(b"weights")[:16]
        '3edc5c4a5df8c79e'
    """
    return joined([blake3(piece).hexdigest() for piece in slices(buffer)])
