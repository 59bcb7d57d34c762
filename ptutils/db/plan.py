"""How SQLite narrows a query: which documents to look at, and in which order.

What a plan yields contains every match; the compiled filter decides which it is. Values
never appear in the SQL text, only numbers of tables and paths that we gave ourselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from ptutils.db.filters.sort import Sort, check_sort
from ptutils.db.indexes import COMPLEX, Bound, pattern_for
from ptutils.db.tables import Table

__all__ = ["Rows", "in_natural_order", "in_sort_order"]

Rows = Generator[tuple[bytes | None, int, str], None, None]
"""The first sort key (None for null), the place and the text of each document."""

_FEW = 20_000
"""A condition that fewer documents meet is worth starting from."""


def in_natural_order(table: Table, bounds: Mapping[str, Bound]) -> Rows:
    """Yield all candidates in the order of insertion."""
    return _Query(table, bounds).in_place_order()


def in_sort_order(
    table: Table, bounds: Mapping[str, Bound], sort: Sort, count: int
) -> Rows | None:
    """Yield candidates by the first sort key, equal ones in the order of insertion.

    Args:
        table: Where to look.
        bounds: What the filter demands.
        sort: At least one pair.
        count: How many matches will be asked for.

    Returns:
        None where no index knows the order.
    """
    (parts, direction) = next(iter(check_sort(sort).items()))
    path = ".".join(parts)
    query = _Query(table, bounds)
    turn = "DESC" if direction < 0 else "ASC"
    if path == "_id":
        return query.by_id(turn)
    index = _Index.of(table, path)
    if index is None or not index.is_sorted(table):
        return None
    if query.is_better_than_order(count):
        return query.from_few(index, turn)
    values = query.by_key(index, turn)
    if path in bounds:
        return values  # A bound is never met by null.
    nulls = query.without_key(index)
    return _chained(nulls, values) if direction > 0 else _chained(values, nulls)


def _chained(*parts: Rows) -> Rows:
    for part in parts:
        yield from part


@dataclass(frozen=True)
class _Index:
    """The numbers of a path in the table of keys: its own, and where COMPLEX may be."""

    path: str
    number: int
    catch_all: int
    count: int
    has_complex: bool

    @classmethod
    def of(cls, table: Table, path: str) -> _Index | None:
        pattern = pattern_for(path, table.patterns)
        if pattern is None:
            return None
        number, count = _numbers(table, path)
        catch_all, _ = _numbers(table, pattern)
        complex_one = table.connection.execute(
            f"SELECT 1 FROM keys_{table.number} "  # noqa: S608
            "WHERE path IN (?, ?) AND key = ? LIMIT 1",
            (number, catch_all, COMPLEX),
        ).fetchone()
        return cls(path, number, catch_all, count, complex_one is not None)

    def is_sorted(self, table: Table) -> bool:
        """Return whether every document's key tells its place in the order."""
        deeper = table.connection.execute(
            "SELECT 1 FROM paths WHERE collection = ? AND path BETWEEN ? AND ? LIMIT 1",
            (table.number, f"{self.path}.", f"{self.path}/"),
        ).fetchone()
        return not self.has_complex and deeper is None


def _numbers(table: Table, path: str) -> tuple[int, int]:
    """Return the number of a path, and how many keys it has."""
    row = table.connection.execute(
        "SELECT id, count FROM paths WHERE collection = ? AND path = ?",
        (table.number, path),
    ).fetchone()
    return row or (-1, 0)


@dataclass(frozen=True)
class _Condition:
    """One bound in SQL, with the same values for each of its three forms.

    Attributes:
        path: What it bounds.
        key: A test of ``{key}``, if no key is COMPLEX.
        test: A test of the document at ``{place}``.
        places: A query of all places that pass.
        values: What the question marks stand for.
        count: How many pass, or _FEW if there are as many or more.
    """

    path: str
    key: str
    test: str
    places: str
    values: tuple[bytes, ...]
    count: int


class _Query:
    """The conditions of one filter on one table."""

    def __init__(self, table: Table, bounds: Mapping[str, Bound]) -> None:
        self._table = table
        self._documents = f"documents_{table.number}"
        self._keys = f"keys_{table.number}"
        found = [self._condition(path, bound) for path, bound in bounds.items()]
        conditions = [condition for condition in found if condition is not None]
        self._conditions = sorted(conditions, key=lambda condition: condition.count)
        self.is_selective = bool(conditions) and self._conditions[0].count < _FEW

    def is_better_than_order(self, count: int) -> bool:
        """Return whether sorting the best condition's few beats following an index.

        Following it visits so many documents that ``count`` of them may pass all.
        """
        visited = float(count)
        for condition in self._conditions:
            visited *= self._table.count() / max(condition.count, 1)
        return self.is_selective and self._conditions[0].count < visited

    def in_place_order(self) -> Rows:
        """Yield the candidates in the order of insertion."""
        where, values = self._where("d.place")
        return self._rows(
            f"SELECT NULL, d.place, d.text FROM {self._documents} d "  # noqa: S608
            f"WHERE {where} ORDER BY d.place",
            values,
        )

    def by_id(self, turn: str) -> Rows:
        """Yield the candidates by their ids."""
        where, values = self._where("d.place")
        return self._sorted_rows(
            f"SELECT d.id, d.place FROM {self._documents} d "  # noqa: S608
            f"WHERE {where} ORDER BY d.id {turn}",
            values,
        )

    def from_few(self, index: _Index, turn: str) -> Rows:
        """Yield the few that meet the best condition, by their keys."""
        where, values = self._where("d.place")
        return self._sorted_rows(
            f"SELECT s.key, d.place FROM {self._documents} d "  # noqa: S608
            f"LEFT JOIN {self._keys} s "
            f"ON s.place = d.place AND s.path = {index.number} "
            f"WHERE {where} ORDER BY s.key {turn}, d.place",
            values,
        )

    def by_key(self, index: _Index, turn: str) -> Rows:
        """Yield the candidates that have a key, by it."""
        where, values = self._where("s.place", index.path)
        return self._sorted_rows(
            f"SELECT s.key, s.place FROM {self._keys} s "  # noqa: S608
            f"WHERE s.path = {index.number} AND {where} "
            f"ORDER BY s.key {turn}, s.place",
            values,
        )

    def without_key(self, index: _Index) -> Rows:
        """Yield the candidates that have no key, in the order of insertion."""
        if index.count == self._table.count():
            return
        where, values = self._where("d.place")
        yield from self._sorted_rows(
            f"SELECT NULL, d.place FROM {self._documents} d "  # noqa: S608
            f"WHERE NOT EXISTS (SELECT 1 FROM {self._keys} s "
            f"WHERE s.place = d.place AND s.path = {index.number}) "
            f"AND {where} ORDER BY d.place",
            values,
        )

    def _where(self, place: str, sorted_path: str = "") -> tuple[str, list[bytes]]:
        """Return the condition on a place; the sorted path's is one on its key."""
        texts: list[str] = ["1"]
        values: list[bytes] = []
        for condition in self._conditions:
            if condition.path == sorted_path:
                texts.append(condition.key.format(key="s.key"))
            elif condition is self._conditions[0] and self.is_selective:
                texts.append(f"{place} IN ({condition.places})")
            else:
                texts.append(condition.test.format(place=place))
            values.extend(condition.values)
        return " AND ".join(texts), values

    def _condition(self, path: str, bound: Bound) -> _Condition | None:
        key, values = _key_test(bound)
        if path == "_id":
            return self._id_condition(key, values)
        index = _Index.of(self._table, path)
        if index is None:
            return None
        own = f"path = {index.number}"
        test = (
            f"EXISTS (SELECT 1 FROM {self._keys} k WHERE k.place = {{place}} "  # noqa: S608
            f"AND k.{own} AND {key.format(key='k.key')})"
        )
        places = (
            f"SELECT place FROM {self._keys} WHERE {own} AND {key.format(key='key')}"  # noqa: S608
        )
        if index.has_complex:
            either = f"path IN ({index.number}, {index.catch_all}) AND key = x'ff'"
            test = (
                f"({test} OR EXISTS (SELECT 1 FROM {self._keys} "  # noqa: S608
                f"WHERE place = {{place}} AND {either}))"
            )
            places += f" UNION ALL SELECT place FROM {self._keys} WHERE {either}"  # noqa: S608
        count = self._count(places, values)
        return _Condition(path, key, test, places, values, count)

    def _id_condition(self, key: str, values: tuple[bytes, ...]) -> _Condition:
        own = key.format(key="id")
        test = (
            f"EXISTS (SELECT 1 FROM {self._documents} i "  # noqa: S608
            f"WHERE i.place = {{place}} AND i.{own})"
        )
        places = f"SELECT place FROM {self._documents} WHERE {own}"  # noqa: S608
        return _Condition("_id", key, test, places, values, self._count(places, values))

    def _count(self, places: str, values: Sequence[bytes]) -> int:
        (count,) = self._table.connection.execute(
            f"SELECT COUNT(*) FROM (SELECT place FROM ({places}) LIMIT {_FEW})",  # noqa: S608
            values,
        ).fetchone()
        return int(count)

    def _rows(self, text: str, values: Sequence[bytes]) -> Rows:
        cursor: sqlite3.Cursor = self._table.connection.execute(text, values)
        try:
            yield from cursor
        finally:
            cursor.close()

    def _sorted_rows(self, text: str, values: Sequence[bytes]) -> Rows:
        # The text is read only when a row is asked for: SQLite sorts without it.
        cursor: sqlite3.Cursor = self._table.connection.execute(text, values)
        try:
            for key, place in cursor:
                yield key, place, self._table.text(place)
        finally:
            cursor.close()


def _key_test(bound: Bound) -> tuple[str, tuple[bytes, ...]]:
    if bound.points is None:
        return "{key} BETWEEN ? AND ?", (bound.low, bound.high)
    marks = ", ".join("?" * len(bound.points))
    return f"{{key}} IN ({marks})", tuple(bound.points)
