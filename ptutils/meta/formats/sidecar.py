"""Values as one plain document for text formats, with the sidecar inside if needed.

A value that plain values can tell is the document itself, as a person would write it.
Otherwise the document has one more key, ``_ptutils``, with ``types`` and ``artifacts``;
a value that is no dict stands there too, under ``document``.
"""

from __future__ import annotations

from typing import Final

from ptutils.errors import DecodeError
from ptutils.meta.codec import Encoded, decode, dumps, encode, loads
from ptutils.meta.values import Value

__all__ = ["join", "split"]

_KEY: Final = "_ptutils"


def join(value: Value) -> Value:
    """Return the one plain document of a value.

    Raises:
        EncodeError: If a part of the value cannot be stored.
    """
    encoded = encode(value)
    if not encoded.types:
        return encoded.document
    sidecar = {
        "types": loads(encoded.types),
        "artifacts": [bytes(artifact) for artifact in encoded.artifacts],
    }
    if type(encoded.document) is dict:
        return {**encoded.document, _KEY: sidecar}
    return {_KEY: {**sidecar, "document": encoded.document}}


def split(document: Value) -> Value:
    """Return the value of a document; one without sidecar is taken as it is.

    Raises:
        DecodeError: If the sidecar is damaged.
    """
    if not isinstance(document, dict) or _KEY not in document:
        return document
    sidecar = document[_KEY]
    body = {key: item for key, item in document.items() if key != _KEY}
    if isinstance(sidecar, dict) and "document" in sidecar and not body:
        sidecar = dict(sidecar)
        body = sidecar.pop("document")
    if not isinstance(sidecar, dict) or sidecar.keys() != {"types", "artifacts"}:
        raise DecodeError(
            "cannot read the sidecar",
            path=_KEY,
            expected="types and artifacts",
            got=f"{sidecar!r:.60}",
        )
    artifacts = sidecar["artifacts"]
    if type(artifacts) is not list or {type(item) for item in artifacts} - {bytes}:
        raise DecodeError("cannot read the artifacts", path=_KEY, expected="bytes")
    types = dumps(sidecar["types"])
    return decode(Encoded(document=body, types=types, artifacts=tuple(artifacts)))
