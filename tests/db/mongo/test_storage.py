"""What lies on the server: marks, indexes, format, foreign values, large documents."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import mongomock
import pytest
from bson import Decimal128, Int64, ObjectId

from ptutils.core.records.identity import now
from ptutils.db.migrations import FORMAT
from ptutils.db.mongo.interface import MongoInterface
from ptutils.errors import (
    CorruptError,
    DatabaseError,
    NotFoundError,
    QueryError,
    UnavailableError,
)

pytestmark = pytest.mark.mongo

LARGE = "x" * (17 * 2**20)


def stored(db: MongoInterface, collection: str) -> Any:
    """Return a collection as any other program sees it."""
    return db._connection.lenient(collection)


def second(db: MongoInterface) -> MongoInterface:
    """Return another one of the same database."""
    return MongoInterface(db.url)


def test_mark_is_not_seen_and_not_to_be_used(db: MongoInterface) -> None:
    db._insert("c", [{"_id": 1}])
    assert "_ptutils_store" in stored(db, "c").find_one()
    for wrong in ({"_ptutils_store.place": 1}, {"$or": [{"_ptutils_store": 1}]}):
        with pytest.raises(QueryError, match="cannot use the name '_ptutils_store'"):
            db._find("c", wrong)
    with pytest.raises(QueryError, match="cannot use the name '_ptutils_store'"):
        db._insert("c", [{"_ptutils_store": 1}])
    with pytest.raises(QueryError, match="cannot use the name '_ptutils_store'"):
        db._update("c", {}, {"$set": {"_ptutils_store.turn": 1}})


def test_internal_collections_are_hidden_and_refused(db: MongoInterface) -> None:
    db._put([b"a" * 5000])
    db._insert("runs", [{"_id": 1}])
    assert db._collections() == ["runs"]
    with pytest.raises(DatabaseError, match="a name that begins with neither"):
        db._find("ptutils.meta", {})


def test_name_that_no_server_takes_is_refused(db: MongoInterface) -> None:
    with pytest.raises(DatabaseError, match="what pymongo takes as an address or a na"):
        db._insert("", [{"_id": 1}])


def test_indexes_are_made_once(db: MongoInterface) -> None:
    for each in (db, second(db)):
        with each:
            each._insert("runs", [{"a": 1}])
            each.create_index("runs", "config.a")
            each.create_index("runs", "config.*")
            each._find("runs", {}, sort=[("summary.loss.min", 1)], limit=1)
            each._find("runs", {}, sort=[("summary.loss.min", 1)], limit=1)
    names = stored(db, "runs").index_information()
    firsts = [index["key"][0][0] for index in names.values()]
    assert sorted(firsts) == [
        *("_id", "_ptutils_store.place", "_ptutils_store.place", "config.$**"),
        *("config.a", "created", "experiment", "status.phase", "summary.loss.min"),
    ]


def test_database_bears_the_format(db: MongoInterface) -> None:
    db.find()
    assert stored(db, "ptutils.meta").find_one()["version"] == FORMAT


def test_newer_format_is_refused(db: MongoInterface) -> None:
    db.find()
    stored(db, "ptutils.meta").update_one({}, {"$set": {"version": 99}})
    with second(db) as other, pytest.raises(DatabaseError, match="pip install -U"):
        other.find()


def test_older_format_is_migrated(db: MongoInterface) -> None:
    db._insert("runs", [{"_id": "r", "format": 1}])
    stored(db, "ptutils.meta").update_one({}, {"$set": {"version": 1}})
    with second(db) as other:
        assert other._find("runs", {})[0]["format"] == 2
    assert stored(db, "ptutils.meta").find_one()["version"] == FORMAT


@pytest.mark.parametrize("value", [ObjectId(), Decimal128("1.5")])
@pytest.mark.parametrize("window", [{}, {"limit": 1}])
def test_foreign_value_is_named(
    db: MongoInterface, value: object, window: dict[str, int]
) -> None:
    stored(db, "c").insert_one({"_id": 1, "a": [{"b": value}]})
    with pytest.raises(CorruptError, match=r"c\.1\.a\.0\.b") as caught:
        db._find("c", {}, **window)
    assert caught.value.got == type(value).__name__


def test_documents_of_other_programs_are_read(db: MongoInterface) -> None:
    stored(db, "c").insert_one({"_id": 1, "a": Int64(2)})
    assert db._update("c", {"a": 2}, {"$inc": {"a": 1}}) == 1
    (found,) = db._find("c", {})
    assert (found, type(found["a"])) == ({"_id": 1, "a": 3}, int)


def test_large_document_is_kept_in_a_file(db: MongoInterface) -> None:
    db._insert("c", [{"_id": 1, "a": 1}, {"_id": 2, "text": LARGE, "a": 2}])
    assert set(stored(db, "c").find_one({"_id": 2})) == {"_id", "_ptutils_store"}
    found = db._find("c", {"a": {"$gt": 0}}, sort=[("a", -1)], projection=["a"])
    assert found == [{"_id": 2, "a": 2}, {"_id": 1, "a": 1}]
    assert db._find("c", {"_id": 2, "a": 2})[0]["text"] == LARGE
    assert db._count("c", {"text": {"$exists": True}}) == 1


def test_document_may_grow_too_large_and_shrink_again(db: MongoInterface) -> None:
    db._insert("c", [{"_id": 1, "a": 0, "text": LARGE[: 9 * 2**20]}])
    for where in ({"_id": 1}, {"a": 1}):
        change = {"$set": {"more": LARGE[: 9 * 2**20]}, "$inc": {"a": 1}}
        assert db._update("c", where, change) == 1
    assert len(db._find("c", {"a": 2})[0]["more"]) == 9 * 2**20
    assert db._update("c", {"a": 2}, {"$unset": {"text": 1, "more": 1}}) == 1
    assert stored(db, "c").find_one()["a"] == 2


def test_first_that_is_found_is_changed_whether_it_is_large_or_not(
    db: MongoInterface,
) -> None:
    texts = ["", LARGE, ""]
    db._insert("c", [{"_id": i, "a": 0, "text": text} for i, text in enumerate(texts)])
    for _ in texts:
        assert db._update("c", {"a": 0}, {"$set": {"a": 1}}) == 1
        with db._transaction():
            assert db._update("c", {"a": 1, "b": None}, {"$set": {"b": 1}}) == 1
        changed = [each["_id"] for each in db._find("c", {"a": 1, "b": 1})]
        assert changed == list(range(len(changed)))
    assert db._update("c", {"a": 0}, {"$set": {"a": 1}}) == 0
    assert len(changed) == 3


def test_files_of_large_documents_go_with_the_garbage(db: MongoInterface) -> None:
    db._insert("c", [{"_id": 1, "text": LARGE}, {"_id": 2, "text": LARGE}])
    db._delete("c", {"_id": 1})
    db._drop([], now() + timedelta(hours=1))
    assert stored(db, "ptutils.whole.files").count_documents({}) == 1
    assert len(db._find("c", {})[0]["text"]) == len(LARGE)


def test_damaged_large_document_is_an_error(db: MongoInterface) -> None:
    db._insert("c", [{"_id": 1, "text": LARGE}])
    stored(db, "ptutils.whole.chunks").delete_one({"n": 3})
    with pytest.raises(CorruptError, match="cannot read a large document"):
        db._find("c", {})


def test_artifacts_span_pieces_of_a_pack(db: MongoInterface) -> None:
    contents = [os.urandom(size) for size in (3 << 20, 5, 1 << 20, 2_500_001)]
    digests = db._put(contents)
    assert [bytes(db._get(each)) for each in digests] == contents
    assert stored(db, "ptutils.packs.files").count_documents({}) == 1
    assert stored(db, "ptutils.packs.chunks").count_documents({}) == 7


def test_damaged_artifact_is_told_once_and_mended(db: MongoInterface) -> None:
    (digest,) = db._put([b"a" * 5000])
    assert db.verify() == []
    stored(db, "ptutils.packs.chunks").delete_many({})
    (fault,) = db.verify()
    assert digest in fault.what
    (fault,) = db.verify(repair=True)
    assert fault.is_repaired
    assert db.verify() == []


def test_pieces_that_a_crash_left_are_dropped(db: MongoInterface) -> None:
    (digest,) = db._put([b"a" * 5000])
    stored(db, "ptutils.packs.chunks").insert_one({"files_id": ObjectId(), "n": 0})
    stored(db, "ptutils.packs.files").insert_one({"_id": ObjectId(), "length": 9})
    db._drop([], now() - timedelta(hours=1))
    assert stored(db, "ptutils.packs.chunks").count_documents({}) == 2
    db._drop([], now() + timedelta(hours=1))
    assert stored(db, "ptutils.packs.chunks").count_documents({}) == 1
    assert bytes(db._get(digest)) == b"a" * 5000


def test_failed_transaction_is_undone_also_without_transactions(
    db: MongoInterface,
) -> None:
    db._insert("c", [{"_id": i, "a": i} for i in range(4)])
    with contextlib.suppress(ZeroDivisionError), db._transaction():
        db._insert("c", [{"_id": 9}])
        db._update("c", {"a": 1}, {"$set": {"a": 5}})
        db._update("c", {}, {"$inc": {"a": 1}}, many=True)
        db._update("c", {"_id": 2}, {"$set": {"text": LARGE}})
        db._delete("c", {"_id": {"$lt": 2}})
        raise ZeroDivisionError
    assert db._find("c", {}) == [{"_id": i, "a": i} for i in range(4)]


def test_refused_statement_leaves_the_transaction_usable(db: MongoInterface) -> None:
    with db._transaction():
        db._insert("c", [{"_id": 1, "a": "text"}])
        with pytest.raises(DatabaseError, match="an '_id' that is not taken"):
            db._insert("c", [{"_id": 2}, {"_id": 1}])
        with pytest.raises(QueryError, match="a number to add to"):
            db._update("c", {"_id": 1}, {"$inc": {"a": 1}})
        db._insert("c", [{"_id": 3}])
    assert [each["_id"] for each in db._find("c", {})] == [1, 3]


def test_transaction_that_read_what_another_changed_fails(
    replicated: MongoInterface,
) -> None:
    replicated._insert("c", [{"_id": 1, "owner": None}])

    def take() -> None:
        with second(replicated) as other:
            other._update("c", {"_id": 1}, {"$set": {"owner": "other"}})

    change = {"$set": {"owner": "me"}}
    with replicated._transaction():
        replicated._find("c", {"_id": 1})
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        with pytest.raises(UnavailableError, match="another process wrote the same"):
            replicated._update("c", {"_id": 1}, change)
    assert replicated._find("c", {})[0]["owner"] == "other"


WRITER = """
import sys
import ptutils

with ptutils.connect(sys.argv[1]) as db:
    for number in range(30):
        with db._transaction():
            db._insert("c", [{"_id": f"{sys.argv[2]} {number}"}])
            db._update("n", {"_id": 0}, {"$inc": {"n": 1}})
"""


def test_two_processes_write_at_once(db: MongoInterface) -> None:
    db._insert("n", [{"_id": 0, "n": 0}])
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, db.url, name]) for name in "ab"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert (db._count("c", {}), db._find("n", {})[0]["n"]) == (60, 60)


def test_process_that_forks_goes_on_on_both_sides(db: MongoInterface) -> None:
    db._insert("c", [{"_id": 1}])
    child = os.fork()
    if child == 0:
        try:
            db._insert("c", [{"_id": 2}])
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    db._insert("c", [{"_id": 3}])
    assert [each["_id"] for each in db._find("c", {})] == [1, 2, 3]


def test_fork_within_a_transaction_is_refused_in_the_child(db: MongoInterface) -> None:
    with db._transaction():
        child = os.fork()
        if child == 0:
            try:
                db._insert("c", [{"_id": 2}])
            except DatabaseError as error:
                os._exit(7 if "forked within" in str(error) else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_client_of_the_caller_stays_open() -> None:
    client: Any = mongomock.MongoClient()
    with MongoInterface("mongodb://localhost/mine", client=client) as db:
        db.save({"_id": 1})
    assert client.mine.documents.count_documents({}) == 1


def test_artifact_stored_anew_by_another_process_is_read(db: MongoInterface) -> None:
    contents = [letter * (2 << 20) for letter in (b"a", b"b")]
    first, last = db._put(contents)
    db._get(first)
    other = second(db)
    other._drop([first, last], now() + timedelta(minutes=1))
    other._put(contents)
    assert bytes(db._get(last)) == contents[1]
    other._drop([first, last], now() + timedelta(minutes=1))
    with pytest.raises(NotFoundError, match="found no artifact"):
        db._get(first)


def test_repair_keeps_the_bytes_of_a_damaged_pack(db: MongoInterface) -> None:
    db.save({"_id": 1, "content": b"a" * 5000})
    db.save({"_id": 2, "content": b"b" * 5000})
    chunks = stored(db, "ptutils.packs.chunks")
    broken, _ = chunks.find().sort("files_id", 1)
    content = broken["data"].replace(b"aaaa", b"aaab")
    chunks.update_one({"_id": broken["_id"]}, {"$set": {"data": content}})
    (fault,) = db.verify(repair=True)
    assert f"kept as ptutils.packs {broken['files_id']}" in fault.what
    db.delete({"_id": 1})
    assert db.verify() == []
    db.gc(-60.0)
    assert chunks.find_one({"_id": broken["_id"]})["data"] == content
    db.save({"_id": 1, "content": b"a" * 5000})
    assert db.verify() == []
    assert db.load(1)["content"] == b"a" * 5000


def test_repair_forgets_what_is_not_there_at_all(db: MongoInterface) -> None:
    (digest,) = db._put([b"a" * 5000])
    for name in ("chunks", "files"):
        stored(db, f"ptutils.packs.{name}").delete_many({})
    (fault,) = db.verify(repair=True)
    assert digest in fault.what
    assert db.verify() == []
    assert db.gc(-60.0).artifacts == 0
    assert db._put([b"a" * 5000]) == [digest]
    assert db.verify() == []
