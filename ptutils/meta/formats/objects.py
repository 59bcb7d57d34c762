"""Objects that the codec does not store, as jsonpickle writes them: with trust only.

``jsonpickle.decode`` imports and calls what the text names, also with ``safe=True``.
This file is loaded after the caller has said that the text is to be trusted.
"""

from __future__ import annotations

from typing import Any, Final

import jsonpickle

from ptutils.errors import DecodeError, EncodeError
from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.table import Entry, Node
from ptutils.meta.formats.sidecar import OBJECT
from ptutils.meta.values import Value

__all__ = ["ENTRY"]

_SCALARS: Final = (str, bytes, int, float, complex)
_ANYTHING: Final = (Exception, jsonpickle.errors.ClassNotFoundError)
"""What the objects' own code raises; one of jsonpickle's is no Exception."""


def _encode(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    try:
        text = jsonpickle.encode(value, keys=True)
        is_whole = _is_alike(value, _made(text), set())
    except _ANYTHING as error:
        raise _refused(encoder, f"{name}: {error}") from error
    if not is_whole:  # jsonpickle passes over what it cannot write.
        raise _refused(encoder, f"{name}, of which something else would come back")
    return name, {"is": OBJECT, "text": text}


def _decode(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    text = decoder.expect(node.get("text"), str)
    try:
        return _made(text)
    except _ANYTHING as error:
        raise DecodeError(
            "cannot make this object",
            path=".".join(map(str, decoder.path)),
            expected="one whose class is importable here",
            got=f"{plain!r:.60}: {error}",
        ) from error


def _made(text: str) -> Value:
    return jsonpickle.decode(  # noqa: S301 - reached with trust only
        text, keys=True, on_missing="error"
    )


def _is_alike(left: Value, right: Value, seen: set[int]) -> bool:
    """Return whether all that two objects hold is equal and of the same types."""
    if left is right or id(left) in seen:
        return True
    if type(left) is not type(right) or isinstance(left, type):
        return False
    seen.add(id(left))
    if isinstance(left, _SCALARS):
        return bool(left == right or left != left)  # noqa: PLR0124 - NaN
    return _are_alike(_held(left), _held(right), seen)


def _held(value: Value) -> list[Value]:
    """Return what an object holds, in order."""
    items = list(value) if isinstance(value, (dict, list, tuple)) else []
    values = list(value.values()) if isinstance(value, dict) else []
    attributes = getattr(value, "__dict__", {})
    return [*items, *values, *attributes, *attributes.values()]


def _are_alike(lefts: list[Value], rights: list[Value], seen: set[int]) -> bool:
    return len(lefts) == len(rights) and all(
        _is_alike(left, right, seen) for left, right in zip(lefts, rights, strict=True)
    )


def _refused(encoder: Encoder, got: str) -> EncodeError:
    return EncodeError(
        "cannot store this object",
        path=encoder.where(),
        expected="one that jsonpickle writes and makes again",
        got=got,
        fix="give its class __getstate__ and __setstate__, in an importable module",
    )


ENTRY: Final = Entry(tag=OBJECT, encode=_encode, decode=_decode, is_shared=True)
