"""What the backend adds to every document, under one name that users never see.

``place`` counts up in the order of insertion, which decides where no sort does.
``turn`` counts the updates, so that a document is replaced only as it was read.
``whole`` names the file that holds a document which the server cannot hold.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ptutils.errors import QueryError
from ptutils.meta.values import Document, Value

__all__ = [
    "IS_WHOLE",
    "MARK",
    "PLACE",
    "TURN",
    "WHOLE",
    "Places",
    "as_read",
    "check_paths",
    "marked",
    "named",
    "place_of",
    "stripped",
    "turning",
]

MARK: Final = "_ptutils_store"
PLACE: Final = f"{MARK}.place"
TURN: Final = f"{MARK}.turn"
WHOLE: Final = f"{MARK}.whole"

IS_WHOLE: Final[Document] = {WHOLE: {"$exists": True}, PLACE: {"$gte": 0}}
"""Finds what stands for documents that are kept whole, in order, by its own index."""


class Places:
    """Gives numbers that count up, after the clock; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        """Return a number greater than all before; reads the clock."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns())
            return self._last


def marked(document: Document, place: int, **more: Value) -> Document:
    """Return a document that begins with its ``_id`` as it is to be inserted."""
    first = {"_id": document["_id"], MARK: {"place": place, "turn": 0, **more}}
    return {**first, **document}


def stripped(document: Document) -> Document:
    """Take the mark off, in place."""
    document.pop(MARK, None)
    return document


def place_of(document: Document) -> int:
    """Return a document's place; what another program inserted comes first."""
    place: int = document.get(MARK, {}).get("place", 0)
    return place


def named(document: Document) -> Document:
    """Return the filter that finds the document with the ``_id`` of this one."""
    identity = document["_id"]
    return {"_id": {"$eq": identity} if isinstance(identity, dict) else identity}


def as_read(document: Document) -> Document:
    """Return the filter that finds a document only as long as nobody updates it."""
    turn = document.get(MARK, {}).get("turn")
    return {**named(document), TURN: turn}


def turning(update: Document) -> Document:
    """Return an update that counts itself."""
    return {**update, "$inc": {**update.get("$inc", {}), TURN: 1}}


def check_paths(
    filter: Value = None,
    sort: Iterable[tuple[str, int]] = (),
    projection: Mapping[str, Any] | Sequence[str] | None = None,
    update: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Refuse to look at the mark or to change it.

    Raises:
        QueryError: If any path leads there.
    """
    named = [path for path, _ in sort]
    named += list(projection or ())
    named += [path for changes in (update or {}).values() for path in changes]
    named += _filter_paths(filter or {})
    for path in named:
        if path.partition(".")[0] == MARK:
            raise QueryError(
                f"cannot use the name {MARK!r}",
                expected="a name of your own",
                got="the one under which MongoInterface keeps the order of documents",
            )


def _filter_paths(filter: Document) -> list[str]:
    found = []
    for name, operand in filter.items():
        if name in ("$and", "$nor", "$or"):
            found += [path for part in operand for path in _filter_paths(part)]
        else:
            found.append(name)
    return found
