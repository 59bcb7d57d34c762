"""Generated queries and updates: the answers of the memory backend, or both refuse."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptutils.db.memory import MemoryInterface
from ptutils.db.mongo.interface import MongoInterface
from ptutils.errors import QueryError
from ptutils.meta.values import Document, Value
from tests.db.generated import Generator

pytestmark = pytest.mark.mongo
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def deep(levels: int) -> Value:
    """Return what no MongoDB server holds, if it is deep enough."""
    value: Value = {"a": 1}
    for _ in range(levels):
        value = {"a": value}
    return value


def documents(made: Generator, kind: str) -> list[Document]:
    """Return generated documents, of which some do not fit the server."""
    every = {"plain": 10**9, "some large": 3, "all large": 1}[kind]
    return [
        {**each, "large": deep(200)} if number % every == every - 1 else each
        for number, each in enumerate(made.documents)
    ]


def answer(ask: Callable[..., Value], *args: Value, **kwargs: Value) -> str:
    """Return an answer as text, which tells 1 from 1.0, and -0.0 from 0.0."""
    try:
        return repr(ask(*args, **kwargs))
    except QueryError:
        return "refused"


@pytest.mark.parametrize("kind", ["plain", "some large", "all large"])
@settings(max_examples=4, deadline=None, suppress_health_check=CHECKS)
@given(chance=st.randoms(use_true_random=True))
def test_queries_are_answered_as_in_memory(
    db: MongoInterface, kind: str, chance: random.Random
) -> None:
    made = Generator(chance)
    memory = MemoryInterface()
    stored = documents(made, kind)
    db._delete("c", {})
    for each in (db, memory):
        each._insert("c", stored)
    for _ in range(25):
        asked, shown = made.filter(), made.projection()
        window = {
            "sort": made.sort()[: chance.randrange(4)],
            "skip": chance.choice((0, 0, 1, 3)),
            "limit": chance.choice((0, 0, 2, 5)),
        }
        ours = answer(db._find, "c", asked, projection=shown, **window)
        theirs = answer(memory._find, "c", asked, projection=shown, **window)
        assert ours == theirs, (stored, asked, shown, window)
        assert answer(db._count, "c", asked) == answer(memory._count, "c", asked)


@pytest.mark.parametrize("kind", ["plain", "some large", "all large"])
@settings(max_examples=4, deadline=None, suppress_health_check=CHECKS)
@given(chance=st.randoms(use_true_random=True))
def test_updates_leave_what_they_leave_in_memory(
    db: MongoInterface, kind: str, chance: random.Random
) -> None:
    made = Generator(chance)
    memory = MemoryInterface()
    stored = documents(made, kind)
    db._delete("c", {})
    for each in (db, memory):
        each._insert("c", stored)
    for _ in range(20):
        asked = chance.choice((made.filter(1), {"_id": chance.randrange(20)}))
        change, many = made.update(), chance.random() < 0.5
        ours = answer(db._update, "c", asked, change, many=many)
        theirs = answer(memory._update, "c", asked, change, many=many)
        assert ours == theirs, (stored, asked, change, many)
        assert repr(db._find("c", {})) == repr(memory._find("c", {})), (asked, change)
    gone = made.filter(1)
    assert answer(db._delete, "c", gone) == answer(memory._delete, "c", gone)
    assert repr(db._find("c", {})) == repr(memory._find("c", {}))
