"""Values between Python and BSON: whole numbers stay ints, foreign types are named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from bson import (
    Binary,
    Code,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry

from ptutils.errors import CorruptError
from ptutils.meta.values import Document, Value

__all__ = ["OPTIONS", "SIMPLE_OPTIONS", "in_utc", "refuse_foreign"]

_FOREIGN: Final = (
    Binary,
    Code,
    DBRef,
    Decimal128,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)


class _Int(TypeDecoder):
    bson_type = Int64

    def transform_bson(self, value: Value) -> int:
        return int(value)


class _Refused(TypeDecoder):
    """A type that ptutils never writes; where it stands is found out afterwards."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    @property
    def bson_type(self) -> Any:
        return self._kind

    def transform_bson(self, value: Value) -> Value:
        raise TypeError(f"a value of type {self._kind.__name__}")


SIMPLE_OPTIONS: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    tz_aware=True, tzinfo=UTC
)
"""Reads everything that BSON knows."""

OPTIONS: Final[CodecOptions[dict[str, Any]]] = SIMPLE_OPTIONS.with_options(
    type_registry=TypeRegistry([_Int(), *map(_Refused, _FOREIGN)])
)
"""Reads what ptutils writes and nothing else."""


def in_utc(value: Value) -> Value:
    """Return what mongomock gives with times as a real server's client gives them."""
    if isinstance(value, dict):
        return {name: in_utc(each) for name, each in value.items()}
    if isinstance(value, list):
        return list(map(in_utc, value))
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def refuse_foreign(document: Document, where: str) -> None:
    """Name the first value of a type that ptutils never writes.

    Raises:
        CorruptError: If there is one.
    """
    for path, value in _leaves(document, where):
        if type(value) in _FOREIGN:
            raise CorruptError(
                "cannot read a value that another program wrote",
                path=path,
                expected="None, bool, int, float, text, bytes, datetime, list or dict",
                got=type(value).__name__,
                fix="keep such documents in another database, or convert the value",
            )


def _leaves(value: Value, path: str) -> Iterator[tuple[str, Value]]:
    yield path, value
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    for name, each in inner.items() if isinstance(inner, dict) else ():
        yield from _leaves(each, f"{path}.{name}")
