"""Plain values as canonical JSON text: the same value gives the same bytes anywhere.

JSON lacks NaN, infinities, bytes and datetimes. They are written as dicts of one key,
which cannot be confused with data because a plain key never begins with ``$``::

    {"$float": "NaN" | "Infinity" | "-Infinity"}
    {"$bytes": base64}
    {"$date": "2026-01-31T12:00:00.123Z"}

The text is ASCII, without blanks, and keeps the order of keys, which is information.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from ptutils.errors import DecodeError, EncodeError
from ptutils.meta.values import Value

__all__ = ["dumps", "is_plain_text", "loads", "loads_canonical", "utc_text"]

_FLOATS: Final = {
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
}
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def is_plain_text(text: str) -> bool:
    """Return whether every store can hold ``text``: no NUL, no lone surrogate."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def utc_text(moment: datetime) -> str:
    """Write a UTC datetime with whole milliseconds as ISO 8601 with ``Z``."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def dumps(plain: Value) -> str:
    """Write a plain value as canonical JSON text.

    Raises:
        EncodeError: If the value is not plain; :func:`encode` makes it so.

    Example:
        >>> dumps({"lr": 0.1, "best": float("inf")})
        '{"lr":0.1,"best":{"$float":"Infinity"}}'
    """
    try:
        return _WRITER.encode(plain)
    except ValueError:  # NaN or infinity, which are rare; a cycle raises it again.
        return _written(lambda: _WRITER.encode(_without_specials(plain)))
    except (RecursionError, TypeError):
        return _written(lambda: _WRITER.encode(plain))


def loads(text: str) -> Value:
    """Read what :func:`dumps` wrote.

    Raises:
        DecodeError: If the text is not JSON, or repeats a key.

    Example:
        >>> loads('{"best":{"$float":"Infinity"}}')
        {'best': inf}
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except DecodeError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise DecodeError(
            "cannot read this JSON text", expected="well-formed JSON", got=str(error)
        ) from error


def loads_canonical(text: str) -> Value:
    """Read what :func:`dumps` wrote, in a fraction of the time if it is just that.

    Raises:
        DecodeError: As :func:`loads`.
    """
    if '{"$' not in text:
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(text)
            # Then it says nothing twice, and has no constants that JSON lacks.
            if _REWRITER.encode(value) == text:
                return value
    return loads(text)


def _written(write: Callable[[], str]) -> str:
    try:
        return write()
    except (RecursionError, TypeError, ValueError) as error:
        raise EncodeError(
            "cannot write this value as JSON",
            expected="a plain value, without cycles",
            got=str(error),
            fix="encode() it first",
        ) from error


def _special(value: Value) -> Value:
    if type(value) is bytes:
        return {"$bytes": base64.b64encode(value).decode()}
    if type(value) is datetime and value.tzinfo is UTC:
        return {"$date": utc_text(value)}
    raise TypeError(f"{type(value).__qualname__} is not a plain type")


def _without_specials(value: Value) -> Value:
    if type(value) is float and not math.isfinite(value):
        return {"$float": json.dumps(value)}
    if type(value) is list:
        return [_without_specials(item) for item in value]
    if type(value) is dict:
        return {key: _without_specials(item) for key, item in value.items()}
    return value


_WRITER = json.JSONEncoder(
    allow_nan=False, separators=(",", ":"), default=_special, check_circular=True
)
_REWRITER = json.JSONEncoder(
    allow_nan=False, separators=(",", ":"), check_circular=False
)
"""Of what was read just now, in which there is no cycle."""


def _constant(name: str) -> Value:
    raise ValueError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Value]]) -> Value:
    if len(pairs) == 1 and pairs[0][0] in _READERS:
        return _READERS[pairs[0][0]](pairs[0][1])
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DecodeError(
            "cannot read this JSON text", expected="each key once", got=repr(twice)
        )
    return result


def _read_float(text: Value) -> float:
    if text not in _FLOATS:
        raise ValueError(f"{text!r:.40} is no special float")
    return _FLOATS[text]


def _read_bytes(text: Value) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{text!r:.40} is not base64") from error


def _read_date(text: Value) -> datetime:
    if not _DATE.fullmatch(text):
        raise ValueError(f"{text!r:.40} is not a date")
    return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)


_READERS: Final[dict[str, Callable[[Value], Value]]] = {
    "$float": _read_float,
    "$bytes": _read_bytes,
    "$date": _read_date,
}
