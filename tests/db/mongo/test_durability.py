"""What is written is durable before anything refers to it, and what is read stays."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from ptutils.core.records.identity import now
from ptutils.db.mongo.interface import MongoInterface
from tests.mongod import running_mongod

pytestmark = pytest.mark.mongo

DURABLE = {"w": "majority", "j": True}
WRITES = ("insert", "update", "delete", "findAndModify", "createIndexes")
READS = ("find", "aggregate", "distinct")
ARTIFACTS = "ptutils.artifacts"
LARGE = "x" * (17 * 2**20)


class Overheard(CommandListener):
    """Keeps what is asked of a server, and acts when it is.

    Attributes:
        asked: The commands in order.
        before, after: Called with each command and the collection it names.
    """

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.before: Callable[[str, object], object] = lambda name, collection: None
        self.after: Callable[[str], object] = lambda name: None

    def started(self, event: Any) -> None:
        self.asked.append(event.command)
        self.before(event.command_name, event.command.get(event.command_name))

    def succeeded(self, event: Any) -> None:
        self.after(event.command_name)

    def failed(self, event: Any) -> None:
        pass


@contextlib.contextmanager
def overhearing(db: MongoInterface) -> Iterator[tuple[MongoInterface, Overheard]]:
    """Yield the same database through a client that is listened to."""
    ear = Overheard()
    client: Any = MongoClient(db.url, event_listeners=[ear])
    with client, MongoInterface(db.url, client=client) as other:
        yield other, ear


def do_all(db: MongoInterface) -> None:
    """Write in every way that there is."""
    db._insert("c", [{"_id": 1, "a": 1}])
    db._insert("c", [{"_id": 2, "a": 2}, {"_id": 3, "a": 3}])
    db._update("c", {"_id": 1}, {"$set": {"a": 5}})
    db._update("c", {"a": 2}, {"$set": {"a": 6}})
    db._update("c", {"a": {"$gt": 2}}, {"$inc": {"a": 1}}, many=True)
    db._update("c", {"_id": 4}, {"$set": {"text": LARGE}}, upsert=True)
    db._update("c", {"_id": 4}, {"$set": {"text": ""}})
    with db._transaction():
        db._insert("d", [{"_id": 1}])
        db._delete("d", {"_id": 1})
    db._delete("c", {"_id": 1})
    db.create_index("c", "a")
    first, second = db._put([b"a" * (17 << 20), b"b" * 5000])
    db._put([b"b" * 5000, b"c" * 5000])
    db._connection.lenient(ARTIFACTS).update_one({"_id": second}, {"$set": {"size": 1}})
    db._put_aside([first, second])
    db._drop([first], now() + timedelta(hours=1))


def test_every_write_is_journaled_by_most_servers(db: MongoInterface) -> None:
    with overhearing(db) as (other, ear):
        do_all(other)
    writes = [each for each in ear.asked if next(iter(each)) in WRITES]
    assert {next(iter(each)) for each in writes} == set(WRITES)
    alone = [each for each in writes if "autocommit" not in each]
    assert [each for each in alone if each.get("writeConcern") != DURABLE] == []
    ends = [each for each in ear.asked if next(iter(each)) == "commitTransaction"]
    assert [each for each in ends if each.get("writeConcern") != DURABLE] == []
    assert len(ends) > 0 or len(alone) == len(writes)


def test_every_read_is_of_what_stays(db: MongoInterface) -> None:
    with overhearing(db) as (other, ear):
        do_all(other)
        assert other._count("c", {"text": {"$exists": True}}) == 1
    reads = [each for each in ear.asked if next(iter(each)) in READS]
    assert {next(iter(each)) for each in reads} == set(READS)
    alone = [each for each in reads if "autocommit" not in each]
    assert {str(each["readConcern"]) for each in alone} == {"{'level': 'majority'}"}


def test_artifact_that_the_server_forgets_is_not_taken_for_stored(
    db: MongoInterface,
) -> None:
    (digest,) = db._put([b"a" * 5000])
    index = db._connection.lenient(ARTIFACTS)
    row = index.find_one_and_delete({"_id": digest})

    def appear(name: str, collection: object) -> None:
        if (name, collection) == ("find", ARTIFACTS):
            ear.before = lambda name, collection: None
            index.insert_one(row)  # Another process has just begun to store it,
            ear.after = vanish

    def vanish(name: str) -> None:
        if name == "find":
            ear.after = lambda name: None
            index.delete_one(row)  # and the server was killed, and started again.

    with overhearing(db) as (other, ear):
        ear.before = appear
        other._put([b"a" * 5000])
        assert ear.after is not vanish
        assert bytes(other._get(digest)) == b"a" * 5000


def test_file_is_whole_though_the_server_is_killed_while_it_is_written(
    tmp_path: Path,
) -> None:
    with running_mongod(tmp_path / "server", replica_set=True) as server:
        url = f"{server.url}&serverSelectionTimeoutMS=30000"

        def parts() -> Iterator[bytes]:
            yield bytes(range(256)) * (41 << 12)  # More than is sent at once.
            server.kill()
            server.start()
            yield b"the end"

        with MongoInterface(url) as db:
            db.save({"_id": 1})
            bucket = db._packs._bucket
            identity = bucket.write("name", parts())
            size = (41 << 20) + 7
            found = bytes(bucket.read(identity, 0, size))
        assert found == bytes(range(256)) * (41 << 12) + b"the end"
