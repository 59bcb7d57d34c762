"""Scalars of Python that a plain document cannot hold as they are."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, Final

from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.plain import is_plain_text
from ptutils.meta.codec.table import Entry, Node, enter
from ptutils.meta.values import Value

__all__ = ["decode_text", "encode_text"]

_INLINE_BYTES: Final = 1024
"""Longer bytes become an artifact."""

_DECIMAL_BITS: Final = 4096
"""Wider ints are written in hexadecimal: Python limits decimal, which is quadratic."""


def encode_text(text: str, tag: str) -> tuple[str, Node]:
    """Encode a text; what stores cannot hold is replaced, and kept in the sidecar."""
    if is_plain_text(text):
        return text, tag or None
    exact = text.encode("utf-8", "surrogatepass")
    shown = text.replace("\0", "\u2400").encode("utf-16", "surrogatepass")
    node = {"is": tag or "str", "utf8": exact.hex()}
    return shown.decode("utf-16", "replace"), node


def decode_text(decoder: Decoder, plain: Value, node: dict[str, Any]) -> str:
    """Return the text, from the sidecar where it is kept there."""
    text: str = decoder.expect(plain, str)
    if "utf8" not in node:
        return text
    try:
        return bytes.fromhex(node["utf8"]).decode("utf-8", "surrogatepass")
    except (ValueError, TypeError) as error:
        decoder.refuse("a text in hexadecimal UTF-8", node["utf8"], error)


def _encode_str(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    return encode_text(value, "")


def _encode_int(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    return (str(value) if value.bit_length() <= _DECIMAL_BITS else hex(value)), "int"


def _decode_int(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    try:
        return int(decoder.expect(plain, str), 0)
    except ValueError as error:
        decoder.refuse("an int", plain, error)


def _encode_bytes(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    is_mutable = type(value) is bytearray
    if len(value) <= _INLINE_BYTES or encoder.is_isolated:
        return bytes(value), "bytearray" if is_mutable else None
    node: dict[str, Any] = {"is": type(value).__name__}
    encoder.keep(node, memoryview(value) if is_mutable else value)
    return f"bytes[{len(value)}]", node


def _decode_bytes(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    return bytes(
        decoder.artifact(node) if "at" in node else decoder.expect(plain, bytes)
    )


def _decode_bytearray(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    return bytearray(_decode_bytes(decoder, plain, node))


def _encode_complex(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    return [value.real, value.imag], "complex"


def _decode_complex(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    if type(plain) is not list or [type(part) for part in plain] != [float, float]:
        decoder.refuse("a real and an imaginary part", plain)
    return complex(*plain)


def _by_text(kind: type[Any], *errors: type[Exception]) -> None:
    """Enter a type that its own text says exactly."""
    tag = kind.__name__

    def encode(encoder: Encoder, value: Value) -> tuple[Value, Node]:
        return encode_text(str(value), tag)

    def decode(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
        text = decode_text(decoder, plain, node)
        try:
            return kind(text)
        except errors as fault:
            decoder.refuse(f"a {tag}", text, fault)

    enter(Entry(tag=tag, encode=encode, decode=decode), kind)


_TABLE: tuple[tuple[type[Any], Callable[..., Any], Callable[..., Any]], ...] = (
    (str, _encode_str, decode_text),
    (int, _encode_int, _decode_int),
    (bytes, _encode_bytes, _decode_bytes),
    (complex, _encode_complex, _decode_complex),
)
for _kind, _write, _read in _TABLE:
    enter(Entry(tag=_kind.__name__, encode=_write, decode=_read), _kind)
enter(
    Entry(
        tag="bytearray", encode=_encode_bytes, decode=_decode_bytearray, is_shared=True
    ),
    bytearray,
)
_by_text(uuid.UUID, ValueError)
_by_text(Decimal, InvalidOperation)
_by_text(Fraction, ValueError, ZeroDivisionError)
_by_text(PurePosixPath, ValueError)
_by_text(PureWindowsPath, ValueError)
_by_text(WindowsPath if os.name == "nt" else PosixPath, ValueError)
