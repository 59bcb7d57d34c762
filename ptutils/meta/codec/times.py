"""Dates and times: an instant in the document, all else beside it.

A datetime appears as the UTC instant it means, in whole milliseconds, because that is
what databases compare; a naive one as if it were UTC. One that is just that needs no
entry in the sidecar; any other keeps its own text and time zone there.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.table import Entry, Node, enter
from ptutils.meta.values import Value

__all__: list[str] = []

_MILLISECOND = 1000


def _encode_datetime(encoder: Encoder, value: dt.datetime) -> tuple[Value, Node]:
    node = {"is": "datetime", "text": value.replace(tzinfo=None).isoformat()}
    _encode_zone(encoder, value, node)
    instant = _instant(value)
    if value.tzinfo is dt.UTC and instant == value and not value.fold:
        return instant, None
    return instant, node


def _instant(value: dt.datetime) -> dt.datetime:
    try:
        moved = value if value.tzinfo is None else value.astimezone(dt.UTC)
    except OverflowError:  # at the ends of the calendar, where UTC has no such year
        moved = value
    whole = moved.microsecond - moved.microsecond % _MILLISECOND
    return moved.replace(tzinfo=dt.UTC, microsecond=whole, fold=0)


def _decode_datetime(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    decoder.expect(plain, dt.datetime)
    value = _from_text(decoder, dt.datetime, node.get("text"))
    value = value.replace(tzinfo=_decode_zone(decoder, node), fold=_fold(decoder, node))
    if plain.utcoffset() is None or _instant(value) != plain:
        decoder.refuse(f"the instant of {value}", plain)
    return value


def _encode_time(encoder: Encoder, value: dt.time) -> tuple[Value, Node]:
    node: dict[str, Any] = {"is": "time"}
    _encode_zone(encoder, value, node)
    text = value.replace(tzinfo=None).isoformat()
    return text, node if len(node) > 1 else "time"


def _decode_time(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    value = _from_text(decoder, dt.time, plain)
    return value.replace(tzinfo=_decode_zone(decoder, node), fold=_fold(decoder, node))


def _encode_date(encoder: Encoder, value: dt.date) -> tuple[Value, Node]:
    return value.isoformat(), "date"


def _decode_date(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    return _from_text(decoder, dt.date, plain)


def _encode_timedelta(encoder: Encoder, value: dt.timedelta) -> tuple[Value, Node]:
    exact = [value.days, value.seconds, value.microseconds]
    return value.total_seconds(), {"is": "timedelta", "parts": exact}


def _decode_timedelta(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    parts = node.get("parts")
    if type(parts) is not list or [type(part) for part in parts] != [int] * 3:
        decoder.refuse("days, seconds and microseconds", parts)
    try:
        value = dt.timedelta(*parts)
    except OverflowError as error:
        decoder.refuse("a duration that Python can hold", parts, error)
    if value.total_seconds() != plain:
        decoder.refuse(f"{value.total_seconds()} seconds", plain)
    return value


def _encode_timezone(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    node: dict[str, Any] = {"is": "timezone"}
    _encode_zone(encoder, dt.time(tzinfo=value), node)
    return str(value), node


def _decode_timezone(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    return _decode_zone(decoder, node)


# A zone is the name of an IANA zone, or [microseconds from UTC] or that and a name.


def _encode_zone(encoder: Encoder, value: Value, node: dict[str, Any]) -> None:
    zone = value.tzinfo
    if value.fold:
        node["fold"] = 1
    if type(zone) is dt.timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]
        node["zone"] = [offset // dt.timedelta(microseconds=1), *name]
    elif type(zone) is zoneinfo.ZoneInfo and zone.key is not None:
        node["zone"] = zone.key
    elif zone is not None:
        encoder.refuse(
            "cannot store this time zone",
            expected="datetime.timezone, or zoneinfo.ZoneInfo with a key",
            got=repr(zone),
        )


def _decode_zone(decoder: Decoder, node: dict[str, Any]) -> dt.tzinfo | None:
    zone = node.get("zone")
    try:
        if isinstance(zone, str):
            return zoneinfo.ZoneInfo(zone)
        if isinstance(zone, list):
            offset, *name = zone
            return dt.timezone(dt.timedelta(microseconds=offset), *name)
    except (ValueError, TypeError, OSError, KeyError, OverflowError) as error:
        decoder.refuse("a time zone known here", zone, error, "install tzdata")
    return None if zone is None else decoder.refuse("a time zone", zone)


def _fold(decoder: Decoder, node: dict[str, Any]) -> int:
    fold = node.get("fold", 0)
    if type(fold) is not int or fold not in (0, 1):
        decoder.refuse("0 or 1", fold)
    return fold


def _from_text(decoder: Decoder, kind: type[Any], text: Value) -> Value:
    try:
        value = kind.fromisoformat(text)
    except (ValueError, TypeError) as error:
        decoder.refuse(f"an ISO 8601 {kind.__name__}", text, error)
    return value


for _kind, _write, _read in (
    (dt.datetime, _encode_datetime, _decode_datetime),
    (dt.time, _encode_time, _decode_time),
    (dt.date, _encode_date, _decode_date),
    (dt.timedelta, _encode_timedelta, _decode_timedelta),
):
    enter(Entry(tag=_kind.__name__, encode=_write, decode=_read), _kind)
enter(
    Entry(tag="timezone", encode=_encode_timezone, decode=_decode_timezone),
    dt.timezone,
    zoneinfo.ZoneInfo,
)
