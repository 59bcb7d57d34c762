"""The tables of one collection in SQLite: its documents, and their keys by path."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence

from ptutils.db.filters.order import key
from ptutils.db.sqlite.indexes import DEFAULTS, entries
from ptutils.meta.values import Document

__all__ = ["Table", "make_table", "open_table"]

_SCHEMA = """
CREATE TABLE documents_{n}
    (place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, text TEXT NOT NULL);
CREATE TABLE keys_{n}
    (path INTEGER NOT NULL, key BLOB NOT NULL, place INTEGER NOT NULL,
     PRIMARY KEY (path, key, place)) WITHOUT ROWID;
CREATE INDEX keys_{n}_by_place ON keys_{n} (place, path);
"""


class Table:
    """One collection within a transaction.

    Attributes:
        number: Names its tables, ``documents_N`` and ``keys_N``.
        patterns: Its indexed paths, as they are in this transaction.
    """

    def __init__(self, connection: sqlite3.Connection, number: int) -> None:
        self.connection = connection
        self.number = number
        self.patterns = tuple(
            pattern
            for (pattern,) in connection.execute(
                "SELECT pattern FROM indexes WHERE collection = ?", (number,)
            )
        )

    def keys_of(self, document: Document) -> dict[str, bytes]:
        """Return the keys that a document has in this table."""
        return entries(document, self.patterns)

    def insert(self, identity: bytes, text: str, document: Document) -> bool:
        """Add a document at the end; return False if its id is taken."""
        cursor = self.connection.execute(
            f"INSERT OR IGNORE INTO documents_{self.number} (id, text) VALUES (?, ?)",  # noqa: S608
            (identity, text),
        )
        if not cursor.rowcount or cursor.lastrowid is None:
            return False
        self._count(1)
        self._add(cursor.lastrowid, self.keys_of(document))
        return True

    def replace(
        self, place: int, text: str, before: Mapping[str, bytes], document: Document
    ) -> None:
        """Store a document anew that had other keys before."""
        self.connection.execute(
            f"UPDATE documents_{self.number} SET text = ? WHERE place = ?",  # noqa: S608
            (text, place),
        )
        after = self.keys_of(document)
        gone = [(self.number, path) for path, _ in before.items() - after.items()]
        self.connection.executemany(
            f"""DELETE FROM keys_{self.number} WHERE place = {place:d} AND path =
                (SELECT id FROM paths WHERE collection = ? AND path = ?)""",  # noqa: S608
            gone,
        )
        self.connection.executemany(
            "UPDATE paths SET count = count - 1 WHERE collection = ? AND path = ?", gone
        )
        self._add(place, dict(after.items() - before.items()))

    def delete(self, place: int) -> None:
        """Remove a document and its keys."""
        self._count(-1)
        self.connection.execute(
            f"""UPDATE paths SET count = count - 1 WHERE id IN
                (SELECT path FROM keys_{self.number} WHERE place = ?)""",  # noqa: S608
            (place,),
        )
        for kind in ("documents", "keys"):
            self.connection.execute(
                f"DELETE FROM {kind}_{self.number} WHERE place = ?",  # noqa: S608
                (place,),
            )

    def text(self, place: int) -> str:
        """Return the text of the document at a place."""
        row = self.connection.execute(
            f"SELECT text FROM documents_{self.number} WHERE place = ?",  # noqa: S608
            (place,),
        ).fetchone()
        if row is None:
            raise sqlite3.DatabaseError("a key of a document that is not there")
        return str(row[0])

    def count(self) -> int:
        """Return how many documents there are."""
        (number,) = self.connection.execute(
            "SELECT count FROM collections WHERE id = ?", (self.number,)
        ).fetchone()
        return int(number)

    def texts(self) -> Iterator[tuple[int, str]]:
        """Yield place and text of all documents."""
        yield from self.connection.execute(
            f"SELECT place, text FROM documents_{self.number}"  # noqa: S608
        )

    def add_keys(self, path: str, keys: Sequence[tuple[bytes, int]]) -> None:
        """Add the key and place of several documents that had none at a path yet.

        What is there already, because two patterns index it, stays.
        """
        number = self._number(path)
        added = self.connection.executemany(
            f"INSERT OR IGNORE INTO keys_{self.number} VALUES ({number}, ?, ?)",  # noqa: S608
            keys,
        ).rowcount
        self.connection.execute(
            "UPDATE paths SET count = count + ? WHERE id = ?", (added, number)
        )

    def add_pattern(self, pattern: str) -> None:
        """Keep the keys of one more pattern from now on."""
        self.connection.execute(
            "INSERT INTO indexes VALUES (?, ?)", (self.number, pattern)
        )
        self.patterns = (*self.patterns, pattern)

    def stored_keys(self, place: int) -> dict[str, bytes]:
        """Return the keys that are stored of the document at a place."""
        return dict(
            self.connection.execute(
                f"""SELECT p.path, k.key FROM keys_{self.number} k
                    LEFT JOIN paths p ON p.id = k.path WHERE k.place = ?""",  # noqa: S608
                (place,),
            )
        )

    def rebuild(self, load: Callable[[str], Document]) -> None:
        """Make ids, keys and counts anew from the documents.

        Args:
            load: Reads the text of a document.
        """
        self.connection.execute(f"DELETE FROM keys_{self.number}")  # noqa: S608
        self.connection.execute(
            "DELETE FROM paths WHERE collection = ?", (self.number,)
        )
        self.connection.execute(
            "UPDATE collections SET count = 0 WHERE id = ?", (self.number,)
        )
        rows = self.connection.execute(f"SELECT place FROM documents_{self.number}")  # noqa: S608
        for (place,) in rows.fetchall():
            document = load(self.text(place))
            self.connection.execute(
                f"UPDATE OR IGNORE documents_{self.number} SET id = ? WHERE place = ?",  # noqa: S608
                (key(document["_id"]), place),
            )
            self._count(1)
            self._add(place, self.keys_of(document))

    def _number(self, path: str) -> int:
        """Return the number of a path, which gets one if it has none."""
        own = (self.number, path)
        self.connection.execute(
            "INSERT OR IGNORE INTO paths (collection, path) VALUES (?, ?)", own
        )
        (number,) = self.connection.execute(
            "SELECT id FROM paths WHERE collection = ? AND path = ?", own
        ).fetchone()
        return int(number)

    def _count(self, change: int) -> None:
        self.connection.execute(
            "UPDATE collections SET count = count + ? WHERE id = ?",
            (change, self.number),
        )

    def _add(self, place: int, keys: Mapping[str, bytes]) -> None:
        self.connection.executemany(
            """INSERT INTO paths (collection, path, count) VALUES (?, ?, 1)
               ON CONFLICT DO UPDATE SET count = count + 1""",
            [(self.number, path) for path in keys],
        )
        self.connection.executemany(
            f"""INSERT INTO keys_{self.number} SELECT id, ?, ? FROM paths
                WHERE collection = ? AND path = ?""",  # noqa: S608
            [(key, place, self.number, path) for path, key in keys.items()],
        )


def open_table(connection: sqlite3.Connection, collection: str) -> Table | None:
    """Return a collection, or None if nothing was ever stored in it."""
    row = connection.execute(
        "SELECT id FROM collections WHERE name = ?", (collection,)
    ).fetchone()
    return Table(connection, row[0]) if row else None


def make_table(connection: sqlite3.Connection, collection: str) -> Table:
    """Return a collection, made if need be; the transaction must be for writing."""
    table = open_table(connection, collection)
    if table is not None:
        return table
    number = connection.execute(
        "INSERT INTO collections (name) VALUES (?)", (collection,)
    ).lastrowid
    for statement in _SCHEMA.format(n=number).split(";"):
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO indexes VALUES (?, ?)",
        [(number, pattern) for pattern in DEFAULTS.get(collection, ())],
    )
    return Table(connection, int(number or 0))
