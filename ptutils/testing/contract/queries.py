"""Queries: hundreds of hard ones, with the answers that a real mongod 6.0.5 gave.

The answers lie in ``answers.json`` beside this file; None stands for a refusal.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from ptutils.core.dbinterface import DBInterface
from ptutils.errors import QueryError
from ptutils.meta.codec import loads
from ptutils.meta.values import Document, Value
from ptutils.testing.contract.base import Contract, plain_ids

__all__ = ["QueriesContract"]

GROUPS: Final = (
    "equality",
    "paths",
    "not equal",
    "greater",
    "greater or equal",
    "less",
    "less or equal",
    "ranges",
    "in",
    "existence",
    "types",
    "lists",
    "arithmetic",
    "patterns",
    "logic",
    "expressions",
)


@functools.cache
def _text() -> str:
    return (Path(__file__).parent / "answers.json").read_text()


def answers() -> Document:
    """Return the questions and answers, the caller's own."""
    found: Document = loads(_text())
    return found


def answer(ask: Callable[[], Value]) -> str:
    """Return an answer as text, which tells 1 from 1.0, and shows the order of keys."""
    try:
        return repr(ask())
    except QueryError:
        return repr(None)


class QueriesContract(Contract):
    """The same answers as MongoDB; each test shows the questions answered otherwise."""

    @pytest.mark.parametrize("group", GROUPS)
    def test_filters_find_what_mongod_finds(self, db: DBInterface, group: str) -> None:
        known = answers()
        db._insert("c", known["documents"])
        otherwise = {}
        for filter, wanted in known["filters"][group]:
            got = answer(partial(plain_ids, db, "c", filter=filter))
            if got != repr(wanted):
                otherwise[repr(filter)] = f"found {got} instead of {wanted}"
        assert otherwise == {}

    def test_count_is_that_of_what_is_found(self, db: DBInterface) -> None:
        known = answers()
        db._insert("c", known["documents"])
        otherwise = {}
        for group in known["filters"].values():
            for filter, wanted in group:
                if wanted is not None and db._count("c", filter) != len(wanted):
                    otherwise[repr(filter)] = len(wanted)
        assert otherwise == {}

    def test_sort_window_and_projection_give_what_mongod_gives(
        self, db: DBInterface
    ) -> None:
        known = answers()
        db._insert("c", known["documents"])
        otherwise = {}
        for window, wanted in known["windows"]:
            asked = {"filter": {}, **window}
            got = answer(partial(db._find, "c", **asked))
            if got != repr(wanted):
                otherwise[repr(window)] = f"gave {got} instead of {wanted}"
        assert otherwise == {}

    def test_updates_leave_what_mongod_leaves(self, db: DBInterface) -> None:
        known = answers()["updates"]
        starts = [{"_id": i, **start} for i, (start, _, _) in enumerate(known)]
        db._insert("c", starts)
        otherwise = {}
        for number, (start, update, wanted) in enumerate(known):
            got = answer(partial(changed, db, number, update))
            whole = wanted and {**wanted, "_id": number}
            if got != repr(whole):
                otherwise[f"{update} of {start}"] = f"left {got} instead of {wanted}"
        assert otherwise == {}

    def test_upserts_insert_what_mongod_inserts(self, db: DBInterface) -> None:
        otherwise = {}
        for filter, update, wanted in answers()["upserts"]:
            got = answer(partial(inserted, db, filter, update))
            if got != repr(wanted):
                otherwise[f"{update} of {filter}"] = f"{got} instead of {wanted}"
        assert otherwise == {}


def changed(db: DBInterface, identity: int, update: Document) -> Document:
    """Update one document and return it."""
    db._update("c", {"_id": identity}, update)
    return db._find("c", {"_id": identity})[0]


def inserted(db: DBInterface, filter: Document, update: Document) -> Document:
    """Upsert into an empty collection and return what is there."""
    db._delete("c", {})
    db._update("c", filter, update, upsert=True)
    return db._find("c", {})[0]
