"""What every database must do; each backend subclasses it with a fixture ``db``."""

from __future__ import annotations

import contextlib
import math
import threading
from datetime import UTC, datetime

import pytest
from blake3 import blake3

from ptutils.core.dbinterface import DBInterface
from ptutils.errors import DatabaseError, NotFoundError, QueryError
from ptutils.meta.codec import Buffer
from ptutils.meta.values import Document

PLAIN = {
    "_id": "x",
    "nothing": None,
    "yes": True,
    "count": -(2**63),
    "rate": math.inf,
    "text": "é\n'\"",
    "bytes": b"\0\xff",
    "at": datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    "list": [1, [2, {"deep": []}], {}],
}


class DBInterfaceContract:
    """Subclass with a fixture ``db`` that gives an empty database."""

    def test_plain_document_comes_back_equal(self, db: DBInterface) -> None:
        db._insert("c", [PLAIN])
        assert db._find("c", {}) == [PLAIN]

    def test_not_a_number_comes_back(self, db: DBInterface) -> None:
        db._insert("c", [{"a": math.nan}])
        assert math.isnan(db._find("c", {"a": math.nan})[0]["a"])

    def test_order_of_keys_is_kept_with_id_in_front(self, db: DBInterface) -> None:
        db._insert("c", [{"z": 1, "a": 2, "_id": 3}])
        assert list(db._find("c", {})[0]) == ["_id", "z", "a"]

    def test_id_is_made_where_there_is_none(self, db: DBInterface) -> None:
        db._insert("c", [{"a": 1}, {"a": 2}])
        first, second = (each["_id"] for each in db._find("c", {}))
        assert first != second

    def test_taken_id_is_refused_and_nothing_inserted(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}])
        with pytest.raises(DatabaseError, match="an '_id' that is not taken"):
            db._insert("c", [{"_id": 2}, {"_id": 1.0}])
        assert db._find("c", {}) == [{"_id": 1}]

    def test_list_as_id_is_refused(self, db: DBInterface) -> None:
        with pytest.raises(DatabaseError, match="cannot store a document under this"):
            db._insert("c", [{"_id": [1]}])

    def test_collections_are_apart(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}])
        db._insert("d", [{"_id": 1, "other": True}])
        assert db._find("c", {}) == [{"_id": 1}]

    def test_unknown_collection_is_empty(self, db: DBInterface) -> None:
        assert (db._find("none", {}), db._count("none", {})) == ([], 0)

    def test_found_documents_are_the_callers_own(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1, "list": []}])
        db._find("c", {})[0]["list"].append(1)
        assert db._find("c", {}) == [{"_id": 1, "list": []}]

    def test_inserted_documents_are_copied(self, db: DBInterface) -> None:
        document: Document = {"_id": 1, "list": []}
        db._insert("c", [document])
        document["list"].append(1)
        assert db._find("c", {}) == [{"_id": 1, "list": []}]

    def test_find_sorts_skips_limits_and_projects(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i, "a": i % 3, "b": i} for i in range(9)])
        found = db._find(
            "c",
            {"b": {"$gte": 2}},
            sort=[("a", -1), ("b", 1)],
            skip=1,
            limit=3,
            projection={"_id": 0, "b": 1},
        )
        assert found == [{"b": 5}, {"b": 8}, {"b": 4}]

    def test_order_without_sort_is_that_of_insertion(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i} for i in (3, 1, 2)])
        db._update("c", {"_id": 3}, {"$set": {"a": 1}})
        assert [each["_id"] for each in db._find("c", {})] == [3, 1, 2]

    @pytest.mark.parametrize("window", [{"limit": -1}, {"skip": -1}, {"limit": 1.5}])
    def test_wrong_window_is_refused(self, db: DBInterface, window: Document) -> None:
        with pytest.raises(QueryError, match=r"cannot use this (limit|skip)"):
            db._find("c", {}, **window)

    def test_wrong_query_is_refused_without_documents(self, db: DBInterface) -> None:
        with pytest.raises(QueryError, match="did you mean '\\$gt'"):
            db._find("none", {"a": {"$gtt": 1}})

    def test_count_counts_what_is_found(self, db: DBInterface) -> None:
        db._insert("c", [{"a": i} for i in range(5)])
        assert (db._count("c", {}), db._count("c", {"a": {"$lt": 2}})) == (5, 2)

    def test_update_changes_the_first_one(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}, {"_id": 2}])
        assert db._update("c", {}, {"$set": {"a": 1}}) == 1
        assert db._find("c", {}) == [{"_id": 1, "a": 1}, {"_id": 2}]

    def test_update_changes_all(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}, {"_id": 2}])
        assert db._update("c", {}, {"$inc": {"a": 1}}, many=True) == 2
        assert db._count("c", {"a": 1}) == 2

    def test_update_of_nothing_changes_nothing(self, db: DBInterface) -> None:
        assert db._update("c", {"_id": 1}, {"$set": {"a": 1}}) == 0
        assert db._find("c", {}) == []

    def test_upsert_inserts_what_filter_and_update_say(self, db: DBInterface) -> None:
        changes = {"$set": {"b": 2}}
        assert db._update("c", {"_id": 1, "a": 1}, changes, upsert=True) == 1
        assert db._find("c", {}) == [{"_id": 1, "a": 1, "b": 2}]

    def test_failing_update_changes_no_document(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1, "a": 1}, {"_id": 2, "a": "text"}])
        with pytest.raises(QueryError, match="a number to add to"):
            db._update("c", {}, {"$inc": {"a": 1}}, many=True)
        assert db._find("c", {"_id": 1}) == [{"_id": 1, "a": 1}]

    def test_update_compares_and_sets(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1, "owner": None}])
        taken = [
            db._update("c", {"_id": 1, "owner": None}, {"$set": {"owner": name}})
            for name in "ab"
        ]
        assert (taken, db._find("c", {})[0]["owner"]) == ([1, 0], "a")

    def test_delete_removes_what_is_found(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i} for i in range(4)])
        assert db._delete("c", {"_id": {"$gte": 2}}) == 2
        assert db._find("c", {}) == [{"_id": 0}, {"_id": 1}]

    def test_transaction_keeps_all(self, db: DBInterface) -> None:
        with db._transaction():
            db._insert("c", [{"_id": 1}])
            db._update("c", {"_id": 1}, {"$set": {"a": 1}})
        assert db._find("c", {}) == [{"_id": 1, "a": 1}]

    def test_failed_transaction_keeps_nothing(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i} for i in range(3)])
        with contextlib.suppress(ZeroDivisionError), db._transaction():
            db._insert("c", [{"_id": 9}])
            db._update("c", {"_id": 1}, {"$set": {"a": 1}})
            db._delete("c", {"_id": 0})
            raise ZeroDivisionError
        assert db._find("c", {}) == [{"_id": i} for i in range(3)]

    def test_failed_part_of_a_transaction_is_undone_alone(
        self, db: DBInterface
    ) -> None:
        with db._transaction():
            db._insert("c", [{"_id": 1}])
            with contextlib.suppress(DatabaseError), db._transaction():
                db._insert("c", [{"_id": 2}])
                db._insert("c", [{"_id": 1}])
        assert db._find("c", {}) == [{"_id": 1}]

    def test_transaction_reads_what_it_wrote(self, db: DBInterface) -> None:
        with db._transaction():
            db._insert("c", [{"_id": 1}])
            assert db._count("c", {"_id": 1}) == 1

    def test_artifacts_come_back_by_digest(self, db: DBInterface) -> None:
        contents: list[Buffer] = [b"", b"a", b"b" * 5000, memoryview(bytes(64))]
        digests = db._put(contents)
        assert digests == [blake3(each).hexdigest() for each in contents]
        assert [bytes(db._get(each)) for each in digests] == [*map(bytes, contents)]

    def test_artifacts_of_one_content_are_one(self, db: DBInterface) -> None:
        assert db._put([b"a", b"a"]) == db._put([b"a"]) * 2

    def test_missing_artifact_is_named(self, db: DBInterface) -> None:
        with pytest.raises(NotFoundError, match="found no artifact " + "0" * 64):
            db._get("0" * 64)

    def test_database_works_after_close(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}])
        (digest,) = db._put([b"a" * 2000])
        db.close()
        assert (db._count("c", {}), bytes(db._get(digest))) == (1, b"a" * 2000)

    def test_threads_share_a_database(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 0, "n": 0}])

        def work(number: int) -> None:
            for step in range(20):
                db._insert("c", [{"_id": f"{number}-{step}"}])
                db._update("c", {"_id": 0}, {"$inc": {"n": 1}})

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (db._count("c", {}), db._find("c", {"_id": 0})[0]["n"]) == (81, 80)
