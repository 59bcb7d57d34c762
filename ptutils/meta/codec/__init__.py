"""The codec: any value to a plain document, a sidecar of types and artifacts, and back.

Exact or refused: what :func:`decode` returns is equal to what :func:`encode` took and
of the same types, or encoding failed and named the path. Decoding never imports and
never calls what the data names. The format is written down in
``docs/document-format.md``.
"""

from __future__ import annotations

# These fill the table of types; those for numpy and torch follow when first needed.
from ptutils.meta.codec import containers, ordered, records, scalars, times  # noqa: F401
from ptutils.meta.codec.decode import decode
from ptutils.meta.codec.encode import encode
from ptutils.meta.codec.encoded import Buffer, Encoded
from ptutils.meta.codec.plain import dumps, loads

__all__ = ["Buffer", "Encoded", "decode", "dumps", "encode", "loads"]
