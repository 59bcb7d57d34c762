"""Generated queries and updates: the same answers as a real mongod, or both refuse."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pymongo
import pytest
from bson.codec_options import CodecOptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ptutils.db.plan
from ptutils.core.dbinterface import DBInterface
from ptutils.db.memory import MemoryInterface
from ptutils.db.sqlite import SQLiteInterface
from ptutils.errors import QueryError
from ptutils.meta.values import Value
from tests.db.generated import Generator

pytestmark = pytest.mark.mongo

INDEXED = ("a", "b", "a.b", "c.*", "0.*", "a.0", "b.*")
REFUSED = "refused"


@pytest.fixture(scope="module")
def collection(mongo: pymongo.MongoClient) -> Iterator[Any]:
    """An empty collection of the real thing, with times as we have them."""
    options = CodecOptions(tz_aware=True, tzinfo=UTC)
    yield mongo.get_database("ptutils").get_collection("c", codec_options=options)
    mongo.drop_database("ptutils")


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def make(request: Any, tmp_path_factory: Any) -> Callable[[], DBInterface]:
    """A function that gives an empty database; SQLite's has some indexes."""
    numbers = iter(range(10**9))
    folder: Path = tmp_path_factory.mktemp("databases")

    def sqlite() -> DBInterface:
        number = next(numbers)
        db = SQLiteInterface(str(folder / f"{number}.db"))
        for path in random.Random(number).sample(INDEXED, 3):  # noqa: S311
            db.create_index("c", path)
        return db

    return MemoryInterface if request.param == "memory" else sqlite


def answer(ask: Callable[..., Value], *args: Value, **kwargs: Value) -> str:
    """Return an answer as text, which tells 1 from 1.0, and -0.0 from 0.0."""
    try:
        found = ask(*args, **kwargs)
        return repr(list(found) if isinstance(found, pymongo.cursor.Cursor) else found)
    except (QueryError, pymongo.errors.OperationFailure):
        return REFUSED


def matched(update: Callable[..., Any], *args: Value, **kwargs: Value) -> int:
    """Return how many documents an update of pymongo found."""
    count: int = update(*args, **kwargs).matched_count
    return count


@settings(
    max_examples=20,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(chance=st.randoms(use_true_random=True))
def test_queries_are_answered_as_by_mongod(
    collection: Any, make: Callable[[], DBInterface], chance: random.Random
) -> None:
    made = Generator(chance)
    collection.drop()
    collection.insert_many(made.documents)
    with make() as db:
        db._insert("c", made.documents)
        for _ in range(25):
            asked, shown = made.filter(), made.projection()
            window = {
                "sort": made.sort(),
                "skip": chance.choice((0, 0, 1, 3)),
                "limit": chance.choice((0, 0, 2, 5)),
            }
            if any(part.isdigit() for path, _ in window["sort"] for part in path):
                shown = {}  # A mongod that projects first drops the places it sorts by.
            ours = answer(db._find, "c", asked, projection=shown, **window)
            theirs = answer(collection.find, asked, shown, **window)
            assert ours == theirs, (made.documents, asked, shown, window)


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chance=st.randoms(use_true_random=True))
def test_updates_change_what_mongod_changes(
    collection: Any, make: Callable[[], DBInterface], chance: random.Random
) -> None:
    made = Generator(chance)
    collection.drop()
    collection.insert_many(made.documents)
    with make() as db:
        db._insert("c", made.documents)
        for _ in range(20):
            which, change = {"_id": chance.randrange(20)}, made.update()
            ours = answer(db._update, "c", which, change)
            theirs = answer(matched, collection.update_one, which, change)
            assert ours == theirs, (made.documents, which, change)
            assert answer(db._find, "c", which) == answer(collection.find, which)


def describes_nothing(filter: Value) -> bool:
    """Return whether ``$all: []`` occurs, for which mongod silently inserts nothing."""
    if isinstance(filter, dict):
        return filter.get("$all") == [] or any(map(describes_nothing, filter.values()))
    return isinstance(filter, list) and any(map(describes_nothing, filter))


@settings(
    max_examples=10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chance=st.randoms(use_true_random=True))
def test_upserts_insert_what_mongod_inserts(
    collection: Any, make: Callable[[], DBInterface], chance: random.Random
) -> None:
    made = Generator(chance)
    collection.drop()
    with make() as db:
        for number in range(20):
            which, change = {"_id": number, **made.filter(1)}, made.update()
            if describes_nothing(which):
                continue
            ours = answer(db._update, "c", which, change, upsert=True)
            theirs = answer(matched, collection.update_one, which, change, upsert=True)
            assert (ours == REFUSED) == (theirs == REFUSED), (which, change)
            kept = {"_id": number}
            assert answer(db._find, "c", kept) == answer(collection.find, kept)


def test_few_and_many_candidates_give_the_same(
    collection: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(1)  # noqa: S311
    made = Generator(chance)
    documents = [{"_id": i, **made.document(2)} for i in range(300)]
    collection.drop()
    collection.insert_many(documents)
    with SQLiteInterface(str(tmp_path / "runs.db")) as db:
        db._insert("c", documents)
        for path in INDEXED:
            db.create_index("c", path)
        for few in (1, 20, 20_000):
            monkeypatch.setattr(ptutils.db.plan, "_FEW", few)
            for _ in range(60):
                asked = {made.path(): {"$gte": made.scalar()}}
                window = {"sort": made.sort(), "limit": 5}
                ours = answer(db._find, "c", asked, **window)
                assert ours == answer(collection.find, asked, **window)
