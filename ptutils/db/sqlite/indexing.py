"""Indexes that queries ask for: which are missing, and how the keys get into them.

A query that would look at very many documents because nothing indexes a path of it gets
the index first: that costs less than looking once. It is made only if nobody else is
writing at that moment; the query is answered either way.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ptutils.db.filters.sort import Sort
from ptutils.db.sqlite.indexes import Bound, entries, key_of, pattern_for
from ptutils.db.sqlite.plan import num_candidates
from ptutils.db.sqlite.tables import Table
from ptutils.meta.codec import loads
from ptutils.meta.values import Document

__all__ = ["build_index", "missing_indexes"]

_MANY: Final = 1_000
"""Looking at fewer documents is not worth an index."""

_MOST: Final = 64
"""So many indexed paths of one collection; each costs time at every insert."""

_PATH = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*", re.ASCII)
"""Paths that SQLite's JSON functions find as we do; no place in a list is named."""


def missing_indexes(table: Table, bounds: Mapping[str, Bound], sort: Sort) -> list[str]:
    """Return the paths that a query should have indexes for, and has not."""
    paths = [*bounds, *(path for path, _ in sort)]
    missing = [
        path
        for path in dict.fromkeys(paths)
        if path != "_id"
        and _PATH.fullmatch(path)
        and pattern_for(path, table.patterns) is None
    ]
    has_room = len(table.patterns) + len(missing) <= _MOST
    if missing and has_room and num_candidates(table, bounds) > _MANY:
        return missing
    return []


def build_index(table: Table, pattern: str, load: Callable[[str], Document]) -> None:
    """Index one more path of all documents; ``a.*`` stands for all leaves below ``a``.

    Args:
        table: In a transaction for writing.
        pattern: The path.
        load: Reads the text of a document.
    """
    found: dict[str, list[tuple[bytes, int]]] = {}
    for path, key, place in _keys(table, pattern, load):
        found.setdefault(path, []).append((key, place))
    for path, pairs in found.items():
        # In the order of the index: SQLite then appends.
        table.add_keys(path, sorted(pairs))
    table.add_pattern(pattern)


_Keys = Iterator[tuple[str, bytes, int]]


def _keys(table: Table, pattern: str, load: Callable[[str], Document]) -> _Keys:
    """Yield path, key and place."""
    if _PATH.fullmatch(pattern):
        try:
            return iter(list(_keys_at(table, pattern)))
        except (sqlite3.OperationalError, ValueError):
            pass  # SQLite reads no JSON that is very deep, or damaged.
    return _keys_in(table, pattern, load)


def _keys_at(table: Table, path: str) -> _Keys:
    """Let SQLite take the value out of each document, which we need not read then."""
    *above, whole = _json_paths(path)
    types = ", ".join("json_type(text, ?)" for _ in above) or "NULL"
    rows = table.connection.execute(
        # Two paths make json_extract return the text of a list, digits untouched.
        f"SELECT place, CASE WHEN 'array' IN ({types}) THEN '[[]]' "  # noqa: S608
        f"ELSE json_extract(text, ?, ?) END FROM documents_{table.number}",
        (*above, whole, whole),
    )
    for place, text in rows:
        value, *_ = loads(text) if "{" in text else json.loads(text)
        if value is not None:
            yield path, key_of(value), place


def _keys_in(table: Table, pattern: str, load: Callable[[str], Document]) -> _Keys:
    for place, text in table.texts():
        for path, key in entries(load(text), (pattern,)).items():
            yield path, key, place


def _json_paths(path: str) -> list[str]:
    """Return SQLite's form of a path, after those of the paths above it."""
    names = [f'."{name}"' for name in path.split(".")]
    return ["$" + "".join(names[:count]) for count in range(1, len(names) + 1)]
