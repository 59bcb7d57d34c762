"""Digests of values: equal digests are equal bits, in any process, on any machine."""

from __future__ import annotations

from collections.abc import Iterable

from blake3 import blake3

from ptutils.meta.codec import Encoded, dumps
from ptutils.meta.codec.slices import content_digest

__all__ = ["state_digest", "stored_digest"]


def state_digest(encoded: Encoded) -> str:
    """Return the digest of an encoded State: of its values, types, sharing and bits.

    It reads all bytes, and says nothing of how or where they are stored.

    Example:
        >>> from ptutils.meta.codec import encode
        >>> state_digest(encode({"step": 1})) == state_digest(encode({"step": 1.0}))
        False
    """
    digests = map(content_digest, encoded.artifacts)
    return stored_digest(dumps(encoded.document), encoded.types, digests)


def stored_digest(skeleton: str, types: str, digests: Iterable[str]) -> str:
    """Return the digest of a State whose artifacts are known by theirs.

    Args:
        skeleton: The canonical text of its document.
        types: Its sidecar.
        digests: Of its artifacts; see :mod:`ptutils.meta.codec.slices`.
    """
    text = dumps([skeleton, types, list(digests)])
    return blake3(text.encode()).hexdigest()
