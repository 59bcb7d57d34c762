"""Queries that would look at very many documents get an index first."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptutils.db.memory import MemoryInterface
from ptutils.db.sqlite import indexing
from ptutils.db.sqlite.indexes import entries
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import CorruptError, QueryError
from tests.db.generated import Generator

VALUES: list[Any] = [
    {"a": {"b": 1}},
    {"a": {"b": 1.0}},
    {"a": {"b": 0.1}},
    {"a": {"b": -0.0}},
    {"a": {"b": 2**63 - 1}},
    {"a": {"b": float("nan")}},
    {"a": {"b": 'é\U0001f600\\"'}},
    {"a": {"b": "x" * 300}},
    {"a": {"b": True}},
    {"a": {"b": None}},
    {"a": {"b": datetime(2026, 1, 2, tzinfo=UTC)}},
    {"a": {"b": b"bytes"}},
    {"a": {"b": []}},
    {"a": {"b": {"c": 1}}},
    {"a": [{"b": 1}]},
    {"a": 1},
    {},
]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SQLiteInterface]:
    with SQLiteInterface(str(tmp_path / "runs.db")) as db:
        yield db


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make indexes for two documents and more."""
    monkeypatch.setattr(indexing, "_MANY", 1)


def fill(db: Any, count: int = 3) -> None:
    db._insert("c", [{"_id": n, "a": n % 2, "b": {"c": -n}} for n in range(count)])


def patterns(db: SQLiteInterface) -> list[str]:
    with db._store.reading() as connection:
        rows = connection.execute("SELECT pattern FROM indexes ORDER BY pattern")
        return [pattern for (pattern,) in rows]


def keys(db: SQLiteInterface) -> list[tuple[Any, ...]]:
    with db._store.reading() as connection:
        return connection.execute(
            "SELECT p.path, p.count, k.key, k.place FROM keys_1 k JOIN paths p "
            "ON p.id = k.path ORDER BY k.place"
        ).fetchall()


def test_few_documents_get_no_index(db: SQLiteInterface) -> None:
    fill(db, 1000)
    db._find("c", {"a": 1})
    assert patterns(db) == []


def test_filter_on_many_documents_gets_an_index(db: SQLiteInterface) -> None:
    fill(db, 1001)
    assert len(db._find("c", {"a": 1, "b.c": {"$lt": -2}})) == 499
    assert patterns(db) == ["a", "b.c"]


@pytest.mark.usefixtures("eager")
def test_sort_gets_an_index_if_few_are_wanted(db: SQLiteInterface) -> None:
    fill(db)
    db._find("c", {}, sort=[("a", 1), ("b.c", 1)])
    assert patterns(db) == []
    assert [each["_id"] for each in db._find("c", {}, sort=[("b.c", 1)], limit=2)] == [
        2,
        1,
    ]
    assert patterns(db) == ["b.c"]


@pytest.mark.usefixtures("eager")
def test_count_gets_an_index(db: SQLiteInterface) -> None:
    fill(db)
    assert db._count("c", {"a": 1}) == 1
    assert patterns(db) == ["a"]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("filter", [{}, {"_id": 1}, {"a": {"$ne": 1}}, {"b.0": 1}])
def test_filter_that_no_index_helps_gets_none(db: SQLiteInterface, filter: Any) -> None:
    fill(db)
    db._find("c", filter)
    assert patterns(db) == []


@pytest.mark.usefixtures("eager")
def test_query_that_another_index_narrows_gets_none(db: SQLiteInterface) -> None:
    fill(db)
    db._find("c", {"_id": 1, "a": 1})
    assert patterns(db) == []


@pytest.mark.usefixtures("eager")
def test_there_are_not_too_many_indexes(
    db: SQLiteInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_MOST", 1)
    fill(db)
    db._find("c", {"a": 1})
    db._find("c", {"b.c": 1})
    assert patterns(db) == ["a"]


@pytest.mark.usefixtures("eager")
def test_no_index_is_made_within_a_transaction(db: SQLiteInterface) -> None:
    fill(db)
    with db._transaction():
        assert len(db._find("c", {"a": 1})) == 1
    assert patterns(db) == []


@pytest.mark.usefixtures("eager")
def test_index_does_not_wait_for_a_writer(db: SQLiteInterface) -> None:
    fill(db)
    with SQLiteInterface(db.url) as other, other._transaction():
        assert len(db._find("c", {"a": 1})) == 1
    assert patterns(db) == []
    assert len(db._find("c", {"a": 1})) == 1
    assert patterns(db) == ["a"]


@pytest.mark.usefixtures("eager")
def test_index_that_another_process_made_meanwhile_is_used(
    db: SQLiteInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db)
    missing = indexing.missing_indexes

    def slow(*arguments: Any) -> list[str]:
        found = missing(*arguments)
        with SQLiteInterface(db.url) as other:
            other.create_index("c", "a")
        return found

    monkeypatch.setattr("ptutils.db.sqlite.interface.missing_indexes", slow)
    assert len(db._find("c", {"a": 1})) == 1
    assert patterns(db) == ["a"]


@pytest.mark.usefixtures("eager")
@pytest.mark.skipif(os.getuid() == 0, reason="root may write anything")
def test_database_that_is_read_only_answers(db: SQLiteInterface) -> None:
    fill(db)
    db.close()
    Path(db.url).chmod(0o400)
    assert len(db._find("c", {"a": 1})) == 1
    assert patterns(db) == []


def test_wrong_filter_is_refused_before_its_bounds_are_sought(
    db: SQLiteInterface,
) -> None:
    with pytest.raises(QueryError, match=r"unknown operator '\$like'"):
        db._find("c", {"a": {"$like": "x"}})


def test_index_holds_the_keys_that_inserting_gives(
    db: SQLiteInterface, tmp_path: Path
) -> None:
    documents = [{"_id": n, **each} for n, each in enumerate(VALUES)]
    db._insert("c", documents)
    db.create_index("c", "a.b")
    with SQLiteInterface(str(tmp_path / "other.db")) as other:
        other.create_index("c", "a.b")
        other._insert("c", documents)
        assert keys(db) == keys(other)
    assert {key for _, _, key, _ in keys(db)} == {
        key for each in VALUES for key in entries(each, ["a.b"]).values()
    }


def test_damaged_document_is_named_by_create_index(db: SQLiteInterface) -> None:
    fill(db)
    with db._store.writing() as connection:
        connection.execute("UPDATE documents_1 SET text = '{' WHERE place = 2")
    with pytest.raises(CorruptError, match="cannot read a document"):
        db.create_index("c", "a")


@pytest.mark.usefixtures("eager")
def test_damaged_document_is_named_by_the_query_that_wanted_an_index(
    db: SQLiteInterface,
) -> None:
    fill(db)
    with db._store.writing() as connection:
        connection.execute("UPDATE documents_1 SET text = '{' WHERE place = 2")
    with pytest.raises(CorruptError, match="cannot read a document"):
        db._find("c", {"a": 1})
    assert patterns(db) == []


def test_damaged_document_is_named_by_a_query_that_reads_parts(
    db: SQLiteInterface,
) -> None:
    fill(db)
    with db._store.writing() as connection:
        connection.execute(
            "UPDATE documents_1 SET text = replace(text, '\"a\":1', '\"a\":0')"
        )
    with pytest.raises(CorruptError, match="cannot read a document"):
        db._find("c", {"a": 1})


def test_part_of_a_document_tells_nothing_of_null(db: SQLiteInterface) -> None:
    db._insert("c", [{"_id": 1, "a": None}, {"_id": 2}, {"_id": 3, "a": 0}])
    found = db._find("c", {"$or": [{"a": {"$exists": False}}, {"a": 0}]})
    assert [each["_id"] for each in found] == [2, 3]


@pytest.mark.parametrize("many", [1, 1000])
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=True))
def test_answers_are_the_same_with_indexes_made_by_queries_and_without(
    chance: random.Random, many: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    generator = Generator(chance)
    memory = MemoryInterface()
    path = tmp_path_factory.mktemp("generated") / "runs.db"
    with pytest.MonkeyPatch.context() as patch, SQLiteInterface(str(path)) as db:
        patch.setattr(indexing, "_MANY", many)
        for each in (memory, db):
            each._insert("c", generator.documents)
        for _ in range(5):
            filter, sort = generator.filter(), generator.sort()
            limit = chance.randrange(4)
            assert _answer(db, filter, sort, limit) == _answer(
                memory, filter, sort, limit
            )


def _answer(db: Any, filter: Any, sort: Any, limit: int) -> list[Any] | str:
    try:
        return [each["_id"] for each in db._find("c", filter, sort=sort, limit=limit)]
    except QueryError as error:
        return error.what


@pytest.mark.parametrize("limit", [1, 7, 60])
@pytest.mark.parametrize("turns", list(itertools.product((1, -1), repeat=2)))
def test_several_sort_keys_come_from_indexes(
    db: SQLiteInterface, turns: tuple[int, int], limit: int
) -> None:
    memory = MemoryInterface()
    for each in (memory, db):
        chance = random.Random(7)  # noqa: S311
        kinds = [None, 1, 2, 3, "x"]
        each._insert(
            "c",
            [
                {"_id": n, "a": chance.choice(kinds), "b": chance.choice(kinds)}
                for n in range(60)
            ],
        )
    db.create_index("c", "a")
    db.create_index("c", "b")
    sort = list(zip(("a", "b"), turns, strict=True))
    for filter in ({}, {"a": {"$gte": 2}}, {"b": 3}):
        assert _answer(db, filter, sort, limit) == _answer(memory, filter, sort, limit)
