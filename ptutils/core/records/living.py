"""Runs whose process is gone: they are marked as lost before anybody reads them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ptutils.core.catalogue import find
from ptutils.core.records.identity import is_expired, now
from ptutils.errors import DatabaseError
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["ALIVE", "truthful"]

ALIVE = {"$in": ["running", "paused"]}
"""What ``status.phase`` is as long as a process writes the run."""


def truthful(db: DBInterface) -> DBInterface:
    """Mark the runs that nobody writes any more as lost; return where to look.

    That is the database itself, or a copy of its runs where it cannot be written.
    """
    living = db._find("runs", {"status.phase": ALIVE}, projection={"lease": 1})
    lost = [each for each in living if is_expired(each["lease"])]
    if not lost:
        return db
    try:
        _mark(db, lost)
    except DatabaseError:
        copy: DBInterface = find("MemoryInterface")()
        copy._insert("runs", list(db._find("runs", {})))
        _mark(copy, lost)
        return copy
    return db


def _mark(db: DBInterface, lost: Iterable[Document]) -> None:
    change = {"$set": {"status.phase": "lost", "status.ended": now()}}
    with db._transaction():
        for each in lost:
            # Only if nobody renewed the lease or took it over since it was read.
            db._update("runs", {"_id": each["_id"], "lease": each["lease"]}, change)
