"""The total order of plain values, as MongoDB defines it, in the form of bytes.

``key(a) < key(b)`` exactly where MongoDB sorts ``a`` before ``b``, and the keys are
equal exactly where MongoDB calls the values equal. No key is the beginning of another,
so that inverting the bytes inverts the order. One function therefore serves equality,
ranges, sorting, unique ids and the index tables of SQLite.

Source:
    MongoDB manual, "Comparison/Sort Order"; BSONElement::compareElements.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from ptutils.errors import QueryError
from ptutils.meta.values import Value

__all__ = ["EMPTY", "MISSING", "Missing", "invert", "is_number", "key", "rank"]


class Missing:
    """The type of :data:`MISSING` and :data:`EMPTY`."""


MISSING: Final = Missing()
"""What a path that leads nowhere yields; equal to null, but it does not exist."""

EMPTY: Final = Missing()
"""What sorting sees in an empty array: less than null."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_EXACT: Final = 1 << 53
_WORD: Final = 1 << 63
_INVERTED: Final = bytes(255 - byte for byte in range(256))
_NAN: Final = bytes(10)
_END: Final = b"\0"

_RANK_BY_TYPE: Final[dict[type, int]] = {
    type(None): 5,
    int: 10,
    float: 10,
    str: 15,
    dict: 20,
    list: 25,
    bytes: 30,
    bool: 40,
    datetime: 45,
}


def rank(value: Value) -> int:
    """Return the place of the value's type among all types; equal ranks compare.

    Raises:
        QueryError: If the value is not a plain one.
    """
    found = _RANK_BY_TYPE.get(type(value))
    if found is not None:
        return found
    if value is MISSING:
        return 5
    if value is EMPTY:
        return 2
    raise QueryError(
        "cannot compare this value",
        expected="None, bool, int, float, str, bytes, datetime, list or dict",
        got=f"{value!r} ({type(value).__name__})",
        fix="convert it to one of these first",
    )


def is_number(value: Value) -> bool:
    """Return whether the value is an int or a float; a bool is neither."""
    kind = type(value)
    return kind is int or kind is float


def key(value: Value) -> bytes:
    """Return the bytes that stand for ``value`` in MongoDB's order.

    Example:
        >>> sorted([True, "b", {"a": 1}, 2.5, None, 2, [0]], key=key)
        [None, 2, 2.5, 'b', {'a': 1}, [0], True]
    """
    place = rank(value)
    return bytes((place,)) + _BODY_BY_RANK[place](value)


def invert(sort_key: bytes) -> bytes:
    """Return a key that sorts the other way round."""
    return sort_key.translate(_INVERTED)


def _number(value: float) -> bytes:
    # The greatest double that is not above the number, then what is left of an int.
    if value != value:  # noqa: PLR0124 - NaN, the least of all numbers
        return _NAN
    if not -_WORD <= value < _WORD and type(value) is int:
        raise QueryError(
            "cannot compare an int of more than 64 bits",
            got=str(value),
            fix="compare with a float, or with a number that fits",
        )
    near = float(value)
    rest = 0
    if type(value) is int and not -_EXACT <= value <= _EXACT:
        if int(near) > value:
            near = math.nextafter(near, -math.inf)
        rest = value - int(near)
    (bits,) = struct.unpack(">q", struct.pack(">d", near + 0.0))
    if bits < 0:
        bits ^= 0x7FFF_FFFF_FFFF_FFFF
    return struct.pack(">QH", bits + (1 << 63), rest)


def _string(value: str) -> bytes:
    # A filter may hold what no document can; it must merely not be found.
    return value.encode(errors="surrogatepass") + _END


def _object(value: dict[str, Value]) -> bytes:
    parts = []
    for name, child in value.items():
        place = rank(child)
        parts.append(bytes((place,)) + name.encode() + _END)
        parts.append(_BODY_BY_RANK[place](child))
    return b"".join(parts) + _END


def _array(value: list[Value]) -> bytes:
    return b"".join(map(key, value)) + _END


def _bytes(value: bytes) -> bytes:
    return struct.pack(">Q", len(value)) + value


def _bool(value: bool) -> bytes:
    return b"\1" if value else b"\0"


def _date(value: datetime) -> bytes:
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return struct.pack(">Q", (value - _EPOCH) // _MILLISECOND + (1 << 63))


def _nothing(_: Value) -> bytes:
    return b""


_BODY_BY_RANK: Final[dict[int, Callable[..., bytes]]] = {
    2: _nothing,
    5: _nothing,
    10: _number,
    15: _string,
    20: _object,
    25: _array,
    30: _bytes,
    40: _bool,
    45: _date,
}
