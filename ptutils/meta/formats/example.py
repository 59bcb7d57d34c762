"""Records as ``tf.train.Example`` messages, for the one schema that ptutils uses.

Every record has the features ``name`` (a text), ``dtype`` (a text), ``shape`` (ints)
and ``data`` (bytes), each as protocol buffers encode them::

    message Example  { Features features = 1; }
    message Features { map<string, Feature> feature = 1; }
    message Feature  { oneof { BytesList bytes_list = 1; Int64List int64_list = 3; } }
    message BytesList { repeated bytes value = 1; }
    message Int64List { repeated int64 value = 1 [packed = true]; }

Source:
    https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto
    https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ptutils.errors import DecodeError
from ptutils.meta.codec import Buffer

__all__ = ["Record", "read_example", "write_example"]

_DELIMITED: Final = 2
"""The wire type of what has a length."""


@dataclass(frozen=True)
class Record:
    """What one record holds.

    Attributes:
        name: The path of an array or tensor.
        dtype: As the codec calls it.
        shape: Its sizes.
        data: The bytes of its elements, in order.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: Buffer


def write_example(record: Record) -> list[Buffer]:
    """Return the message of a record, in pieces of which one is the data itself."""
    shape = b"".join(map(_varint, record.shape))
    before = (
        *_feature(b"dtype", 1, [record.dtype.encode()]),
        *_feature(b"name", 1, [record.name.encode()]),
        *_feature(b"shape", 3, [shape] if shape else []),
    )
    features = [*before, *_feature(b"data", 1, [record.data])]
    return _framed(1, features)


def read_example(content: memoryview) -> Record:
    """Return the record of a message.

    Raises:
        DecodeError: If it is not such a record.
    """
    features = dict(_features(content))
    try:
        shape = bytes(features[b"shape"])
        return Record(
            name=str(features[b"name"], "utf-8"),
            dtype=str(features[b"dtype"], "utf-8"),
            shape=tuple(_varints(memoryview(shape))),
            data=features[b"data"],
        )
    except (KeyError, UnicodeDecodeError) as error:
        raise _fault(str(error)) from error


def _feature(key: bytes, kind: int, values: list[Buffer]) -> list[Buffer]:
    listed = [piece for value in values for piece in _framed(1, [value])]
    return _framed(1, [*_framed(1, [key]), *_framed(2, _framed(kind, listed))])


def _framed(number: int, pieces: list[Buffer]) -> list[Buffer]:
    """Return a field of a message: its number, its length, its content."""
    size = sum(map(len, pieces))
    return [_varint(number << 3 | _DELIMITED) + _varint(size), *pieces]


def _varint(value: int) -> bytes:
    octets = []
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def _features(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield the key and the single value of each feature of a message."""
    for features in _fields(content, 1):
        for feature in _fields(features, 1):
            parts = dict(_numbered(feature))
            if parts.keys() != {1, 2}:
                raise _fault("a feature without key or value")
            lists = [held for _, held in _numbered(parts[2])]
            values = [value for held in lists for value in _fields(held, 1)]
            yield bytes(parts[1]), values[0] if values else memoryview(b"")


def _fields(message: memoryview, expected: int) -> Iterator[memoryview]:
    for number, content in _numbered(message):
        if number != expected:
            raise _fault(f"field {number}")
        yield content


def _numbered(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field; all that we write are delimited."""
    place = 0
    while place < len(message):
        tag, place = _read_varint(message, place)
        size, place = _read_varint(message, place)
        if tag & 7 != _DELIMITED or place + size > len(message):
            raise _fault(f"a field of {size} bytes where {len(message) - place} follow")
        yield tag >> 3, message[place : place + size]
        place += size


def _varints(packed: memoryview) -> Iterator[int]:
    place = 0
    while place < len(packed):
        value, place = _read_varint(packed, place)
        yield value


def _read_varint(message: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if place == len(message):
            raise _fault("a number that is cut off")
        octet = message[place]
        place += 1
        value |= (octet & 0x7F) << shift
        if octet <= 0x7F:
            return value, place
    raise _fault("a number of more than 63 bits")


def _fault(got: str) -> DecodeError:
    return DecodeError(
        "cannot read a record",
        expected="a tf.train.Example with name, dtype, shape and data",
        got=got,
    )
