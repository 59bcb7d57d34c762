"""Generated queries and updates: every database answers as a real mongod, or refuses.

``PTUTILS_SOAK=1`` asks for as many examples as some minutes allow.
"""

from __future__ import annotations

import itertools
import os
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

import ptutils.db.sqlite.plan
from ptutils.core.dbinterface import DBInterface
from ptutils.core.records.document import plain_filter
from ptutils.db.files.interface import FileInterface
from ptutils.db.memory import MemoryInterface
from ptutils.db.mongo.interface import MongoInterface
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import QueryError
from ptutils.meta.values import Document, Value
from tests.db import hard_cases
from tests.db.generated import Generator

pytestmark = pytest.mark.mongo

INDEXED = ("a", "b", "a.b", "c.*", "0.*", "a.0", "b.*")
REFUSED = "refused"
IS_SOAK = bool(os.environ.get("PTUTILS_SOAK"))
Make = Callable[[], DBInterface]


def generated(examples: int) -> Callable[[Any], Any]:
    """Run a test with so many random states, or with many more of them."""
    given_chance = given(chance=st.randoms(use_true_random=True))
    relaxed = settings(
        max_examples=examples * (50 if IS_SOAK else 1),
        suppress_health_check=list(HealthCheck),
    )
    return lambda test: relaxed(given_chance(test))


@pytest.fixture(scope="module")
def collection(mongo: pymongo.MongoClient) -> Iterator[Any]:
    """An empty collection of the real thing, with times as we have them."""
    options = CodecOptions(tz_aware=True, tzinfo=UTC)
    yield mongo.get_database("ptutils").get_collection("c", codec_options=options)
    mongo.drop_database("ptutils")


@pytest.fixture(scope="module", params=["memory", "sqlite", "files", "mongodb"])
def make(request: Any, mongo: pymongo.MongoClient, tmp_path_factory: Any) -> Make:
    """A function that gives an empty database; SQLite's has some indexes."""
    numbers = itertools.count()
    host, port = mongo.address or ("", 0)
    folder: Path = tmp_path_factory.mktemp("databases")

    def sqlite() -> DBInterface:
        number = next(numbers)
        db = SQLiteInterface(str(folder / f"{number}.db"))
        for path in random.Random(number).sample(INDEXED, 3):  # noqa: S311
            db.create_index("c", path)
        return db

    def mongodb() -> DBInterface:
        mongo.drop_database("ptutils_other")
        return MongoInterface(f"mongodb://{host}:{port}/ptutils_other")

    kinds: dict[str, Make] = {
        "memory": MemoryInterface,
        "sqlite": sqlite,
        "files": lambda: FileInterface(str(folder / str(next(numbers)))),
        "mongodb": mongodb,
    }
    return kinds[request.param]


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


def window_of(chance: random.Random, sort: list[tuple[str, int]]) -> Document:
    return {
        "sort": sort,
        "skip": chance.choice((0, 0, 1, 3)),
        "limit": chance.choice((0, 0, 2, 5)),
    }


@generated(30)
def test_queries_are_answered_as_by_mongod(
    collection: Any, make: Make, chance: random.Random
) -> None:
    made = Generator(chance)
    collection.drop()
    collection.insert_many(made.documents)
    with make() as db:
        db._insert("c", made.documents)
        for _ in range(25):
            asked, shown = made.filter(), made.projection()
            window = window_of(chance, made.sort())
            if any(part.isdigit() for path, _ in window["sort"] for part in path):
                shown = {}  # A mongod that projects first drops the places it sorts by.
            ours = answer(db._find, "c", asked, projection=shown, **window)
            theirs = answer(collection.find, asked, shown, **window)
            assert ours == theirs, (made.documents, asked, shown, window)
            assert answer(db._count, "c", asked) == answer(
                collection.count_documents, asked
            ), (made.documents, asked)
            assert answer(plain_filter, asked) == repr(asked)


@generated(10)
def test_equals_of_a_sort_stay_in_order_of_insertion(
    make: Make, chance: random.Random
) -> None:
    made = Generator(chance)
    chance.shuffle(made.documents)
    reference = MemoryInterface()
    reference._insert("c", made.documents)
    with make() as db:
        db._insert("c", made.documents)
        for _ in range(15):
            asked = made.filter()
            window = window_of(chance, made.sort()[:-1])
            ours = answer(db._find, "c", asked, **window)
            wanted = answer(reference._find, "c", asked, **window)
            assert ours == wanted, (made.documents, asked, window)


@generated(20)
def test_updates_change_what_mongod_changes(
    collection: Any, make: Make, chance: random.Random
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


@generated(10)
def test_updates_and_deletions_of_many_leave_what_mongod_leaves(
    collection: Any, make: Make, chance: random.Random
) -> None:
    made = Generator(chance)
    collection.drop()
    collection.insert_many(made.documents)
    with make() as db:
        db._insert("c", made.documents)
        for _ in range(8):
            which, change = made.filter(), made.update()
            before = answer(db._find, "c", {})
            theirs = answer(matched, collection.update_many, which, change)
            ours = answer(db._update, "c", which, change, many=True)
            assert ours == theirs, (before, which, change)
            if ours == REFUSED:  # A mongod has changed some of them, we have not.
                assert answer(db._find, "c", {}) == before
                break
            assert answer(db._find, "c", {}) == answer(collection.find, {})
            gone = made.filter()
            deleted = answer(
                lambda gone=gone: collection.delete_many(gone).deleted_count
            )
            assert answer(db._delete, "c", gone) == deleted, (before, gone)
            assert answer(db._find, "c", {}) == answer(collection.find, {})


def describes_nothing(filter: Value) -> bool:
    """Return whether ``$all: []`` occurs, for which mongod silently inserts nothing."""
    if isinstance(filter, dict):
        return filter.get("$all") == [] or any(map(describes_nothing, filter.values()))
    return isinstance(filter, list) and any(map(describes_nothing, filter))


@generated(15)
def test_upserts_insert_what_mongod_inserts(
    collection: Any, make: Make, chance: random.Random
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
            monkeypatch.setattr(ptutils.db.sqlite.plan, "_FEW", few)
            for _ in range(60):
                asked = {made.path(): {"$gte": made.scalar()}}
                window = {"sort": made.sort(), "limit": 5}
                ours = answer(db._find, "c", asked, **window)
                assert ours == answer(collection.find, asked, **window)


def test_published_answers_are_those_of_mongod(mongo: pymongo.MongoClient) -> None:
    found = hard_cases.written(hard_cases.answers(mongo))
    assert found == hard_cases.ANSWERS.read_text()
