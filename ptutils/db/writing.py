"""What every embedded backend checks and prepares before it writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ptutils.core.records.document import new_id
from ptutils.db.filters.order import key
from ptutils.db.filters.upsert import seed
from ptutils.errors import DatabaseError, QueryError
from ptutils.meta.values import Document, Value

__all__ = ["check_window", "duplicate", "identify", "upserted"]

_MOST: Final = 2**31 - 1
"""The greatest limit and skip that every server takes."""


def identify(document: Document) -> tuple[bytes, Document]:
    """Return the key of a document's ``_id``, and the document with it in front.

    Raises:
        DatabaseError: If the ``_id`` is a list, which could not be found again.
    """
    named = {"_id": document.get("_id", None), **document}
    if "_id" not in document:
        named["_id"] = new_id()
    if isinstance(named["_id"], list):
        raise DatabaseError(
            "cannot store a document under this '_id'",
            expected="text, a number or another value that is no list",
            got=repr(named["_id"]),
        )
    return key(named["_id"]), named


def duplicate(identity: Value, collection: str, url: str) -> DatabaseError:
    """Return the error for an ``_id`` that is taken."""
    return DatabaseError(
        f"cannot insert a document into {collection!r}",
        path=url,
        expected="an '_id' that is not taken",
        got=repr(identity),
        fix="use another '_id', or update the document that has it",
    )


def upserted(filter: Document, apply: Callable[[Document], Document]) -> Document:
    """Return the document that an upsert inserts when its filter finds nothing."""
    return identify(apply(seed(filter)))[1]


def check_window(limit: int, skip: int) -> None:
    """Refuse a limit or skip that a database could not take.

    Raises:
        QueryError: If either is no int, negative or beyond 32 bits.
    """
    for name, value in (("limit", limit), ("skip", skip)):
        if type(value) is not int or not 0 <= value <= _MOST:
            raise QueryError(
                f"cannot use this {name}",
                expected=f"a whole number from 0 to {_MOST:,}",
                got=repr(value),
            )
