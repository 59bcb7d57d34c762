"""Inspection of a SQLite file: its pages, its documents, its indexes and counts."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

from ptutils.core.hooks import Fault
from ptutils.core.records.upkeep.garbage import DAMAGED
from ptutils.db.artifacts import Packs
from ptutils.db.filters.order import key
from ptutils.db.sqlite.salvage import damaged_text, salvage
from ptutils.db.sqlite.stamping import stamped
from ptutils.db.sqlite.store import Store
from ptutils.db.sqlite.tables import Table, make_table, open_table
from ptutils.errors import CorruptError
from ptutils.meta.codec import dumps
from ptutils.meta.values import Document

__all__ = ["inspect", "readable"]

_Load = Callable[[str], Document]

_TEXTS: Final = "SELECT place, CAST(text AS BLOB) FROM documents_"
"""SQLite refuses to give out a text that is no UTF-8."""


def inspect(
    store: Store, packs: Packs, load: _Load, *, repair: bool
) -> Iterator[Fault]:
    """Yield what is wrong with a SQLite file itself.

    Args:
        store: Of the file.
        packs: Beside it.
        load: Reads the text of a document.
        repair: Rebuild what is wrong; a text that is no document any more is moved to
            the collection ``damaged``.
    """
    broken = _broken(store)
    if broken and not repair:
        affects = "whatever lies on the damaged pages"
        yield Fault(where=str(store.path), what=broken, affects=affects)
        return
    if broken:
        story, kept = salvage(store, packs, load)
        affects = f"read again: {story}; the damaged file is kept as {kept.name}"
        yield Fault(
            where=str(store.path), what=broken, affects=affects, is_repaired=True
        )
    for name in _names(store):
        yield from _Inspection(store, name, load, repair=repair).run()


def readable(store: Store, collection: str, load: _Load) -> Iterator[Document]:
    """Yield all documents of a collection but those whose text is damaged."""
    with store.reading() as connection:
        table = open_table(connection, collection)
        if table is None:
            return
        select = f"SELECT place FROM documents_{table.number}"  # noqa: S608
        places = connection.execute(select).fetchall()
    select = f"{_TEXTS}{table.number} WHERE place = ?"
    for place in places:
        with store.reading() as connection:
            row = connection.execute(select, place).fetchone()
        if row is not None:
            with contextlib.suppress(CorruptError):
                yield load(row[1].decode(errors="replace"))


def _broken(store: Store) -> str:
    """Return what SQLite finds wrong with the structure of a file, or ""."""
    try:
        with store.reading() as connection:
            rows = connection.execute("PRAGMA integrity_check(5)").fetchall()
    except CorruptError as error:
        return error.got
    found = "; ".join(str(text) for (text,) in rows)
    return "" if found == "ok" else " ".join(found.split())


def _names(store: Store) -> list[str]:
    with store.reading() as connection:
        return [name for (name,) in connection.execute("SELECT name FROM collections")]


class _Inspection:
    """One collection, looked at in one transaction."""

    def __init__(self, store: Store, name: str, load: _Load, *, repair: bool) -> None:
        self._store = store
        self._name = name
        self._load = load
        self._repair = repair

    def run(self) -> list[Fault]:
        """Return what is wrong with it."""
        open_transaction = self._store.writing if self._repair else self._store.reading
        with open_transaction() as connection:
            table = _table(connection, self._name)
            texts = self._damaged_texts(table)
            faults = [self._text_fault(table, place) for place in texts]
            is_indexed = not texts and _is_indexed(table, self._load)
            if self._repair:
                for place, text in texts.items():
                    _set_aside(table, self._name, place, text)
                if texts or not is_indexed:
                    table.rebuild(self._load)
        if not texts and not is_indexed:
            faults.append(self._index_fault())
        return faults

    def _damaged_texts(self, table: Table) -> dict[int, str]:
        found: dict[int, str] = {}
        rows = table.connection.execute(f"{_TEXTS}{table.number}")
        for place, content in rows:
            text = content.decode(errors="replace")
            try:
                self._load(text)
            except CorruptError:
                found[place] = text
        return found

    def _text_fault(self, table: Table, place: int) -> Fault:
        name = _name(table, place)
        return Fault(
            where=f"{self._name}.{name}",
            what="its text is not what was stored",
            affects=f"{self._name} {name}, and what reads all of {self._name!r}",
            is_repaired=self._repair,
        )

    def _index_fault(self) -> Fault:
        return Fault(
            where=f"index of collection {self._name!r}",
            what="it is not what the documents say",
            affects="queries, which may find too few of them",
            is_repaired=self._repair,
        )


def _table(connection: sqlite3.Connection, name: str) -> Table:
    (number,) = connection.execute(
        "SELECT id FROM collections WHERE name = ?", (name,)
    ).fetchone()
    return Table(connection, number)


def _name(table: Table, place: int) -> str:
    """Return the id of a document that cannot be read, as far as its key tells it."""
    (identity,) = table.connection.execute(
        f"SELECT id FROM documents_{table.number} WHERE place = ?",  # noqa: S608
        (place,),
    ).fetchone()
    text = identity[1:-1].decode(errors="replace")
    return text if key(text) == identity else f"number {place}"


def _set_aside(table: Table, name: str, place: int, text: str) -> None:
    document = damaged_text(name, text)
    identity = key(document["_id"])
    aside = make_table(table.connection, DAMAGED)
    aside.insert(identity, stamped(dumps(document)), document)
    table.connection.execute(
        f"DELETE FROM documents_{table.number} WHERE place = ?",  # noqa: S608
        (place,),
    )


def _is_indexed(table: Table, load: _Load) -> bool:
    """Return whether ids, keys and counts are what the documents say."""
    number, documents, keys = table.number, 0, 0
    rows = table.connection.execute(
        f"SELECT place, id, text FROM documents_{number}"  # noqa: S608
    )
    for place, identity, text in rows:
        document = load(text)
        expected = table.keys_of(document)
        documents, keys = documents + 1, keys + len(expected)
        if key(document["_id"]) != identity or table.stored_keys(place) != expected:
            return False
    counted: tuple[int, ...] = table.connection.execute(
        f"""SELECT (SELECT COUNT(*) FROM keys_{number}),
            (SELECT TOTAL(count) FROM paths WHERE collection = {number}),
            (SELECT count FROM collections WHERE id = {number}),
            (SELECT COUNT(*) FROM paths p WHERE collection = {number} AND count !=
                (SELECT COUNT(*) FROM keys_{number} k WHERE k.path = p.id))"""  # noqa: S608
    ).fetchone()
    return counted == (keys, keys, documents, 0)
