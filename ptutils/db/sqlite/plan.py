"""How SQLite narrows a query: which documents to look at, and in which order.

What a plan yields contains every match; the compiled filter decides which it is. Values
never appear in the SQL text, only numbers of tables and paths that we gave ourselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from ptutils.db.filters.sort import Sort, check_sort
from ptutils.db.sqlite.indexes import COMPLEX, Bound, pattern_for
from ptutils.db.sqlite.parts import fields_of, part_in_sql, part_of
from ptutils.db.sqlite.tables import Table
from ptutils.meta.values import Document

__all__ = ["Rows", "in_natural_order", "in_sort_order", "num_candidates"]

Rows = Generator[tuple[tuple[bytes | None, ...], int, str], None, None]
"""The first sort keys (None for null), the place and the text of each document."""

_FEW = 5_000
"""A condition that fewer documents meet is worth starting from."""

_MOST_JOINS = 8
"""So many sort keys after the first come from indexes; SQLite joins 64 tables."""


def in_natural_order(
    table: Table, bounds: Mapping[str, Bound], filter: Document
) -> Generator[tuple[int, str, Document | None], None, None]:
    """Yield place and text of all candidates in the order of insertion.

    Beside them stands a document of the fields that the filter looks at, where that is
    quicker to look at than the whole, or None.
    """
    query = _Query(table, bounds)
    fields = () if query.knows(filter) else fields_of(filter)
    for place, text, part in query.in_place_order(part_in_sql(fields, "d.text")):
        yield place, text, part_of(fields, part)


def in_sort_order(
    table: Table, bounds: Mapping[str, Bound], sort: Sort, count: int
) -> Rows | None:
    """Yield candidates by the first sort keys, equal ones in the order of insertion.

    Args:
        table: Where to look.
        bounds: What the filter demands.
        sort: At least one pair.
        count: How many matches will be asked for.

    Returns:
        None where no index knows the order.
    """
    turns = [
        (".".join(parts), "DESC" if direction < 0 else "ASC")
        for parts, direction in check_sort(sort).items()
    ]
    query = _Query(table, bounds)
    (path, turn), *_ = turns
    if path == "_id":
        return query.by_id(turn)
    order = _Order.of(table, turns)
    if order is None:
        return None
    if query.is_better_than_order(count, order):
        return query.from_few(order)
    values = query.by_key(order)
    if path in bounds:
        return values  # A bound is never met by null.
    nulls = query.without_key(order)
    return _chained(nulls, values) if turn == "ASC" else _chained(values, nulls)


def num_candidates(table: Table, bounds: Mapping[str, Bound]) -> int:
    """Return how many documents a query looks at; very many are not counted."""
    return _Query(table, bounds).num_candidates()


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


@dataclass(frozen=True)
class _Order:
    """The sort keys that indexes know, from the first on, in SQL.

    Attributes:
        first: Of the first key, which is ``s.key``.
        turn: Its direction.
        keys: All keys, separated by commas.
        joins: Where the others come from, for the document at ``{place}``.
        turns: All keys with their directions.
    """

    first: _Index
    turn: str
    keys: str
    joins: str
    turns: str

    @classmethod
    def of(cls, table: Table, turns: Sequence[tuple[str, str]]) -> _Order | None:
        (path, turn), *others = turns
        first = _Index.of(table, path)
        if first is None or not first.is_sorted(table):
            return None
        keys, joins = [("s.key", turn)], ""
        for number, (other, other_turn) in enumerate(others[:_MOST_JOINS]):
            index = _Index.of(table, other)
            if index is None or not index.is_sorted(table):
                break
            joins += (
                f" LEFT JOIN keys_{table.number} s{number} ON s{number}.place = "
                f"{{place}} AND s{number}.path = {index.number}"
            )
            keys.append((f"s{number}.key", other_turn))
        return cls(
            first,
            turn,
            ", ".join(key for key, _ in keys),
            joins,
            ", ".join(f"{key} {each}" for key, each in keys),
        )


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

    def is_better_than_order(self, count: int, order: _Order) -> bool:
        """Return whether sorting the best condition's few beats following an index.

        Following it visits so many documents that ``count`` of them may pass all; with
        a second key, all that are equal in the first.
        """
        visited = float(count)
        for condition in self._conditions:
            visited *= self._table.count() / max(condition.count, 1)
        is_less = bool(order.joins) or self.num_candidates() < visited
        return self.is_selective and is_less

    def num_candidates(self) -> int:
        """Return how many pass the best condition; more than _FEW are not counted."""
        counts = [condition.count for condition in self._conditions]
        return min(counts, default=self._table.count())

    def knows(self, filter: Document) -> bool:
        """Return whether indexes narrow by all that the filter names."""
        return filter.keys() <= {condition.path for condition in self._conditions}

    def in_place_order(
        self, part: str
    ) -> Generator[tuple[int, str, str | None], None, None]:
        """Yield the candidates in the order of insertion, and something of each."""
        where, values = self._where("d.place")
        cursor: sqlite3.Cursor = self._table.connection.execute(
            f"SELECT d.place, d.text, {part} FROM {self._documents} d "  # noqa: S608
            f"WHERE {where} ORDER BY d.place",
            values,
        )
        try:
            yield from cursor
        finally:
            cursor.close()

    def by_id(self, turn: str) -> Rows:
        """Yield the candidates by their ids."""
        where, values = self._where("d.place")
        return self._sorted_rows(
            f"SELECT d.id, d.place FROM {self._documents} d "  # noqa: S608
            f"WHERE {where} ORDER BY d.id {turn}",
            values,
        )

    def from_few(self, order: _Order) -> Rows:
        """Yield the few that meet the best condition, by their keys."""
        where, values = self._where("d.place")
        return self._sorted_rows(
            f"SELECT {order.keys}, d.place FROM {self._documents} d "  # noqa: S608
            f"LEFT JOIN {self._keys} s "
            f"ON s.place = d.place AND s.path = {order.first.number}"
            f"{order.joins.format(place='d.place')} "
            f"WHERE {where} ORDER BY {order.turns}, d.place",
            values,
        )

    def by_key(self, order: _Order) -> Rows:
        """Yield the candidates that have a first key, by it."""
        where, values = self._where("s.place", order.first.path)
        return self._sorted_rows(
            f"SELECT {order.keys}, s.place FROM {self._keys} s"  # noqa: S608
            f"{order.joins.format(place='s.place')} "
            f"WHERE s.path = {order.first.number} AND {where} "
            f"ORDER BY {order.turns}, s.place",
            values,
        )

    def without_key(self, order: _Order) -> Rows:
        """Yield the candidates that have no first key, by the others."""
        if order.first.count == self._table.count():
            return
        where, values = self._where("d.place")
        keys = order.keys.replace("s.key", "NULL", 1)
        turns = order.turns.replace("s.key", "NULL", 1)
        yield from self._sorted_rows(
            f"SELECT {keys}, d.place FROM {self._documents} d"  # noqa: S608
            f"{order.joins.format(place='d.place')} "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self._keys} s "
            f"WHERE s.place = d.place AND s.path = {order.first.number}) "
            f"AND {where} ORDER BY {turns}, d.place",
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

    def _sorted_rows(self, text: str, values: Sequence[bytes]) -> Rows:
        # The text is read only when a row is asked for: SQLite sorts without it.
        cursor: sqlite3.Cursor = self._table.connection.execute(text, values)
        try:
            for *keys, place in cursor:
                yield tuple(keys), place, self._table.text(place)
        finally:
            cursor.close()


def _key_test(bound: Bound) -> tuple[str, tuple[bytes, ...]]:
    if bound.points is None:
        return "{key} BETWEEN ? AND ?", (bound.low, bound.high)
    marks = ", ".join("?" * len(bound.points))
    return f"{{key}} IN ({marks})", tuple(bound.points)
