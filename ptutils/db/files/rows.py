"""Documents as files hold them: each with its place in the order of insertion.

The place is a number that grows, in microseconds since 1970. In a file it stands in the
document's sidecar, as ``_ptutils: {place: N}``; a file that a person made without it
counts as of the time when it was last changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ptutils.core.records.document import SIDECAR
from ptutils.db.files.names import name_of
from ptutils.db.filters.order import key
from ptutils.errors import CorruptError
from ptutils.meta.values import Document, Value

__all__ = ["Row", "check_name", "made_plain", "row_of", "with_place"]

_SIDECAR_NAMES = frozenset({"artifacts", "types"})
_SLICES = "slices"


@dataclass(frozen=True, eq=False)
class Row:
    """A document and where it stands; the document is never changed.

    Attributes:
        identity: The key of its ``_id``.
        place: Sorts as the documents were inserted.
        document: Plain.
        is_whole: Whether the document has everything, or its bulk is in its file.
    """

    identity: bytes
    place: int
    document: Document
    is_whole: bool = True


def with_place(document: Document, place: int) -> Document:
    """Return what is written for a document."""
    sidecar: Document = {}
    if SIDECAR in document:
        given = document[SIDECAR]
        is_usual = (
            isinstance(given, dict) and given.keys() - {_SLICES} == _SIDECAR_NAMES
        )
        sidecar = given if is_usual else {"value": given}
    return {**document, SIDECAR: {**sidecar, "place": place}}


def row_of(path: Path, written: Value, modified_us: int) -> Row:
    """Return the document that :func:`with_place` was given.

    Args:
        path: Of the file, for errors.
        written: What it holds.
        modified_us: When it was last changed, in microseconds since 1970.

    Raises:
        CorruptError: If it is no document, or not that of a file with this name.
    """
    if not isinstance(written, dict) or "_id" not in written:
        raise CorruptError(
            f"cannot read {path}",
            expected="a document with an '_id'",
            got="one without" if isinstance(written, dict) else type(written).__name__,
        )
    document, place = _without_place(written)
    return Row(key(document["_id"]), place or modified_us, document)


def check_name(path: Path, name: str, identity: Value) -> None:
    """Refuse a document under the name of another, which a copied file would be.

    Raises:
        CorruptError: If the name does not fit.
    """
    if name != name_of(identity):
        raise CorruptError(
            f"cannot read {path}",
            expected=f"the name {name_of(identity)!r}, which goes with its '_id'",
            got=f"{name!r}",
            fix="rename it, or change its '_id'",
        )


def _without_place(written: Document) -> tuple[Document, int]:
    sidecar = written.get(SIDECAR)
    if not isinstance(sidecar, dict) or type(sidecar.get("place")) is not int:
        return written, 0
    rest = {name: value for name, value in sidecar.items() if name != "place"}
    document = dict(written)
    if not rest:
        del document[SIDECAR]
    else:
        document[SIDECAR] = rest["value"] if rest.keys() == {"value"} else rest
    return document, sidecar["place"]


def made_plain(
    value: Value, path: Path, at: str = "", *, has_dots: bool = False
) -> Value:
    """Return what a person wrote as plain values: dates as text, times in UTC.

    Args:
        value: What the file holds.
        path: Of the file, for errors.
        at: Where in it the value stands.
        has_dots: Whether names may have a dot in them, as the metrics of a checkpoint
            do that was put aside.

    Raises:
        CorruptError: If it holds what no document can; the message says where.
    """
    kind = type(value)
    if kind is str or kind is float or kind is bool or value is None or kind is bytes:
        return value
    if kind is dict:
        return _plain_dict(value, path, at, has_dots)
    if kind is list:
        return [
            made_plain(each, path, f"{at}.{i}", has_dots=has_dots)
            for i, each in enumerate(value)
        ]
    if kind is int and -(2**63) <= value < 2**63:
        return value
    if kind is datetime:
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if kind is date:
        return value.isoformat()
    raise _not_plain(path, at, f"{value!r:.40} ({kind.__name__})")


def _plain_dict(
    value: Mapping[Any, Value], path: Path, at: str, has_dots: bool
) -> Document:
    result = {}
    for name, each in value.items():
        if type(name) is not str or not name or name[0] == "$":
            raise _not_plain(path, at, f"the key {name!r}")
        if "." in name and not has_dots:
            raise _not_plain(path, at, f"the key {name!r}")
        result[name] = made_plain(each, path, f"{at}.{name}", has_dots=has_dots)
    return result


def _not_plain(path: Path, at: str, got: str) -> CorruptError:
    where = f", at {at.lstrip('.')!r}" if at else ""
    return CorruptError(
        f"cannot read {path}{where}",
        expected="plain values, and keys of text without '.' or a leading '$'",
        got=got,
        fix="quote it, or write it otherwise",
    )
