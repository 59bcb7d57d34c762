"""numpy's scalars: a number, text or bytes in the document. Loaded with numpy.

A scalar is stored as the value of Python that equals it, or, where there is none, by
its text (long doubles), its count (datetimes) or its bytes (records).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ptutils.meta.codec.arrays import note_dtype, read_dtype
from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.table import Entry, Node, enter
from ptutils.meta.values import Value

__all__: list[str] = []

_FAULTS = (OverflowError, TypeError, ValueError)


def _by_value(
    kind: type[Any], python: type[Any], convert: Callable[[Value], Value] | None = None
) -> None:
    """Enter a scalar type that a type of Python holds exactly."""
    convert = convert or python
    tag = f"numpy.{kind.__name__}"

    def encode(encoder: Encoder, value: Value) -> tuple[Value, Node]:
        plain, inner = encoder.value(convert(value))
        return plain, tag if inner is None else {"is": tag, "value": inner}

    def decode(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
        held = decoder.expect(decoder.value(plain, node.get("value")), python)
        return _checked(decoder, lambda: kind(held), convert, held)

    enter(Entry(tag=tag, encode=encode, decode=decode), kind)


def _by_text(kind: type[Any]) -> None:
    """Enter a type wider than Python's floats, whose text is exact."""
    tag = f"numpy.{kind.__name__}"

    def encode(encoder: Encoder, value: Value) -> tuple[Value, Node]:
        return [str(value.real), str(value.imag)], tag

    def decode(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
        def read() -> Value:
            real, imaginary = (np.longdouble(part) for part in plain)
            result = np.zeros((), kind)
            result.real = real
            if kind is np.clongdouble:
                result.imag = imaginary
            return result[()]

        return _checked(
            decoder, read, lambda value: [str(value.real), str(value.imag)], plain
        )

    enter(Entry(tag=tag, encode=encode, decode=decode), kind)


def _by_bytes(kind: type[Any], shown: Callable[[Value], Value]) -> None:
    """Enter a type whose dtype says how its bytes are meant."""
    tag = f"numpy.{kind.__name__}"

    def encode(encoder: Encoder, value: Value) -> tuple[Value, Node]:
        node: dict[str, Any] = {"is": tag}
        note_dtype(encoder, value.dtype, node)
        node["bytes"] = value.tobytes()
        return shown(value), node

    def decode(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
        dtype = read_dtype(decoder, "", node)
        content = decoder.expect(node.get("bytes"), bytes)
        if dtype.type is not kind or len(content) != dtype.itemsize:
            decoder.refuse(f"{dtype.itemsize} bytes of a {kind.__name__}", content)
        value = np.ndarray((), dtype, bytearray(content or b"\0"))[()]
        return _checked(decoder, lambda: value, shown, plain)

    enter(Entry(tag=tag, encode=encode, decode=decode), kind)


def _checked(
    decoder: Decoder,
    read: Callable[[], Value],
    shown: Callable[[Value], Value],
    plain: Value,
) -> Value:
    """Return what was read, if the document says the same."""
    try:
        value = read()
        again = shown(value)
    except _FAULTS as error:
        decoder.refuse("a scalar of numpy", plain, error)
    if again != plain and not (again != again and plain != plain):  # noqa: PLR0124
        decoder.refuse(f"what the scalar is in the document, {again!r:.60}", plain)
    return value


def _text(value: Value) -> str:
    try:
        return str(value)
    except _FAULTS:  # numpy cannot write every datetime that it can hold
        return str(value.dtype)


_INTEGERS: tuple[type[Any], ...] = (
    *(np.int8, np.int16, np.int32, np.int64, np.longlong),
    *(np.uint8, np.uint16, np.uint32, np.uint64, np.ulonglong),
)
for _integer in _INTEGERS:
    _by_value(_integer, int)
_by_value(np.float16, float)
_by_value(np.float32, float)
_by_value(np.float64, float)
_by_value(np.complex64, complex)
_by_value(np.complex128, complex)
_by_value(np.bool_, bool)
_by_value(np.str_, str, str.__str__)  # str() would cut NULs off its end
_by_value(np.bytes_, bytes)
_by_text(np.longdouble)
_by_text(np.clongdouble)
_by_bytes(np.datetime64, _text)
_by_bytes(np.timedelta64, _text)
_by_bytes(np.void, lambda value: value.tobytes())
