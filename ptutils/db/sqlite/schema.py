"""The tables that every database in SQLite has, and how older ones become them."""

from __future__ import annotations

import contextlib
import sqlite3
from itertools import chain
from typing import Final

from ptutils.db.migrations import FORMAT, NEEDS

__all__ = ["APPLICATION", "SIGNATURE", "create_tables", "needs", "upgrade_tables"]

APPLICATION: Final = 0x7074_7574
"""The mark of our files."""

SIGNATURE: Final = b"CREATE TABLE artifacts (digest TEXT PRIMARY KEY"
"""What the first page of a file of ours contains, even if its head is damaged."""

_SCHEMA: Final = (
    """CREATE TABLE collections (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
       count INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE indexes (collection INTEGER NOT NULL, pattern TEXT NOT NULL,
       PRIMARY KEY (collection, pattern)) WITHOUT ROWID""",
    """CREATE TABLE paths (id INTEGER PRIMARY KEY, collection INTEGER NOT NULL,
       path TEXT NOT NULL, count INTEGER NOT NULL DEFAULT 0,
       UNIQUE (collection, path))""",
    """CREATE TABLE artifacts (digest TEXT PRIMARY KEY, pack TEXT NOT NULL,
       offset INTEGER NOT NULL, size INTEGER NOT NULL, put INTEGER NOT NULL DEFAULT 0)
       WITHOUT ROWID""",
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)
_SET_NEEDS: Final = "REPLACE INTO about VALUES ('needs', ?)"
_TO_2: Final = (
    "ALTER TABLE artifacts ADD COLUMN put INTEGER NOT NULL DEFAULT 0",
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
)
_UPGRADES: Final = (_TO_2,)
"""What each format changed in the tables above; the first makes format 2 of 1."""


def create_tables(connection: sqlite3.Connection) -> None:
    """Make a file ours, within a transaction for writing."""
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute(_SET_NEEDS, (NEEDS,))


def upgrade_tables(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables of an older format up to ours, within such a transaction."""
    for statement in chain.from_iterable(_UPGRADES[version - 1 :]):
        connection.execute(statement)
    connection.execute(_SET_NEEDS, (NEEDS,))
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def needs(connection: sqlite3.Connection) -> str:
    """Return what to install for a database of a later format."""
    with contextlib.suppress(sqlite3.Error):
        rows = connection.execute("SELECT value FROM about WHERE name = 'needs'")
        return str(next(rows)[0])
    return "ptutils"
