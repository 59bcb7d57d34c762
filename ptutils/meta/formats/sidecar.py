"""Values as one plain document for text formats, with the sidecar inside if needed.

A value that plain values can tell is the document itself, as a person would write it.
Otherwise the document has one more key, ``_ptutils``, with ``types`` and ``artifacts``;
a value that is no dict stands there too, under ``document``.

With trust, objects that the codec does not store are kept as jsonpickle writes them.
Making them again runs code of their classes, so that reading needs trust, too.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any, Final

from ptutils.errors import DecodeError, FormatError
from ptutils.meta.codec import Encoded, decode, dumps, encode, loads
from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.table import Entry
from ptutils.meta.values import Value

__all__ = ["OBJECT", "join", "split"]

OBJECT: Final = "jsonpickle"
"""The tag of objects that the codec does not store."""

_KEY: Final = "_ptutils"
_NAMED = re.compile(r'"py/(?:object|type|function|class|repr)": "([^"]{1,200})"')


def join(value: Value, *, trust: bool = False) -> Value:
    """Return the one plain document of a value.

    Args:
        value: Anything, or with trust off what the codec stores.
        trust: Keep objects that the codec does not store.

    Raises:
        EncodeError: If a part of the value cannot be stored.
    """
    encoded = encode(value, foreign=_objects() if trust else None)
    if not encoded.types:
        return encoded.document
    sidecar = {
        "types": loads(encoded.types),
        "artifacts": [bytes(artifact) for artifact in encoded.artifacts],
    }
    if type(encoded.document) is dict:
        return {**encoded.document, _KEY: sidecar}
    return {_KEY: {**sidecar, "document": encoded.document}}


def split(document: Value, path: Path, *, trust: bool = False) -> Value:
    """Return the value of a document; one without sidecar is taken as it is.

    Args:
        document: As :func:`join` returned it.
        path: The file, for errors.
        trust: Make objects of any class that the document names; this runs their code.

    Raises:
        DecodeError: If the sidecar is damaged.
        FormatError: If the document has objects, and trust is off.
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
    encoded = Encoded(
        document=body, types=dumps(sidecar["types"]), artifacts=tuple(artifacts)
    )
    if trust:
        return decode(encoded, foreign=_objects())
    return _without_objects(encoded, path)


def _without_objects(encoded: Encoded, path: Path) -> Value:
    """Decode; name the classes of objects, if there are any, without making them."""
    names: dict[str, None] = {}

    def note(decoder: Decoder, plain: Value, node: dict[str, Any]) -> None:
        names.update(dict.fromkeys(_NAMED.findall(str(node.get("text"))) or [OBJECT]))

    value = decode(
        encoded, foreign=Entry(tag=OBJECT, encode=Encoder.value, decode=note)
    )
    if names:
        named = list(names)
        raise FormatError(
            f"cannot read {path} without trust",
            expected="values only",
            got="objects that jsonpickle makes by running code of "
            + ", ".join(named[:12])
            + (", ..." if len(named) > 12 else ""),
            fix="pass trust=True if you know who wrote it",
        )
    return value


def _objects() -> Entry:
    # Loaded when trusted only: jsonpickle must not come along with a config file.
    entry: Entry = importlib.import_module("ptutils.meta.formats.objects").ENTRY
    return entry
