"""Documents and collections: what is inserted, what is found, in which order."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from ptutils.core.dbinterface import DBInterface
from ptutils.errors import DatabaseError, QueryError
from ptutils.meta.values import Document
from ptutils.testing.contract.base import Contract, plain_ids

__all__ = ["DocumentsContract"]

PLAIN: Document = {
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
IDS = ["text", "", 7, 2**40, 1.5, True, None, b"bytes", PLAIN["at"], {"a": 1}, "a/b.c"]


class DocumentsContract(Contract):
    """Insert, find and count plain documents."""

    def test_plain_document_comes_back_equal(self, db: DBInterface) -> None:
        db._insert("c", [PLAIN])
        assert db._find("c", {}) == [PLAIN]

    def test_types_of_numbers_come_back(self, db: DBInterface) -> None:
        values = [1, 1.0, True, 0.0, -0.0, 2**53 + 1, 2.0**63, 5e-324]
        db._insert("c", [{"_id": 1, "a": values}])
        assert repr(db._find("c", {})[0]["a"]) == repr(values)

    def test_not_a_number_comes_back(self, db: DBInterface) -> None:
        db._insert("c", [{"a": math.nan}])
        assert math.isnan(db._find("c", {"a": math.nan})[0]["a"])

    def test_times_come_back_in_utc(self, db: DBInterface) -> None:
        early = datetime(1, 1, 1, tzinfo=UTC)
        late = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
        db._insert("c", [{"_id": 1, "a": [early, late]}])
        found = db._find("c", {})[0]["a"]
        assert (found, [each.tzinfo for each in found]) == ([early, late], [UTC, UTC])

    @pytest.mark.parametrize(
        "name", ["é", "a b", "a/b", "a\\b", "a'b\"c", "0", "%", "#"]
    )
    def test_any_plain_key_comes_back(self, db: DBInterface, name: str) -> None:
        db._insert("c", [{"_id": 1, name: {name: 2}}])
        assert db._find("c", {f"{name}.{name}": 2}) == [{"_id": 1, name: {name: 2}}]

    def test_deep_document_comes_back(self, db: DBInterface) -> None:
        deep: Document = {}
        for _ in range(80):
            deep = {"a": [deep]}
        db._insert("c", [{"_id": 1, **deep}])
        assert db._find("c", {}) == [{"_id": 1, **deep}]

    def test_order_of_keys_is_kept_with_id_in_front(self, db: DBInterface) -> None:
        db._insert("c", [{"z": 1, "a": {"z": 1, "b": 2}, "_id": 3}])
        found = db._find("c", {})[0]
        assert (list(found), list(found["a"])) == (["_id", "z", "a"], ["z", "b"])

    def test_id_is_made_where_there_is_none(self, db: DBInterface) -> None:
        db._insert("c", [{"a": 1}, {"a": 2}])
        first, second = plain_ids(db, "c")
        assert first != second

    @pytest.mark.parametrize("identity", IDS, ids=repr)
    def test_any_plain_value_but_a_list_is_an_id(
        self, db: DBInterface, identity: object
    ) -> None:
        db._insert("c", [{"_id": identity, "a": 1}, {"_id": "other"}])
        assert db._find("c", {"_id": identity}) == [{"_id": identity, "a": 1}]

    def test_list_as_id_is_refused(self, db: DBInterface) -> None:
        with pytest.raises(DatabaseError, match="cannot store a document under this"):
            db._insert("c", [{"_id": [1]}])

    def test_taken_id_is_refused_and_nothing_inserted(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}])
        with pytest.raises(DatabaseError, match="an '_id' that is not taken"):
            db._insert("c", [{"_id": 2}, {"_id": 1.0}])
        assert db._find("c", {}) == [{"_id": 1}]

    def test_id_taken_twice_in_one_call_is_refused(self, db: DBInterface) -> None:
        with pytest.raises(DatabaseError, match="an '_id' that is not taken"):
            db._insert("c", [{"_id": 1}, {"_id": 2}, {"_id": 1}])
        assert db._find("c", {}) == []

    def test_inserting_nothing_is_allowed(self, db: DBInterface) -> None:
        db._insert("c", [])
        assert (db._count("c", {}), db._collections()) == (0, [])

    def test_many_documents_are_inserted_at_once(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i, "a": i % 7} for i in range(500)])
        assert plain_ids(db, "c", filter={"a": 3}) == list(range(3, 500, 7))

    def test_found_documents_are_the_callers_own(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1, "list": []}])
        db._find("c", {})[0]["list"].append(1)
        assert db._find("c", {}) == [{"_id": 1, "list": []}]

    def test_inserted_documents_are_copied(self, db: DBInterface) -> None:
        document: Document = {"_id": 1, "list": []}
        db._insert("c", [document])
        document["list"].append(1)
        assert db._find("c", {}) == [{"_id": 1, "list": []}]

    def test_inserting_changes_no_argument(self, db: DBInterface) -> None:
        document: Document = {"z": [1]}
        db._insert("c", [document])
        assert document == {"z": [1]}

    def test_collections_are_apart(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}])
        db._insert("d", [{"_id": 1, "other": True}])
        assert db._find("c", {}) == [{"_id": 1}]

    def test_unknown_collection_is_empty(self, db: DBInterface) -> None:
        assert (db._find("none", {}), db._count("none", {})) == ([], 0)

    def test_collections_that_hold_a_document_are_listed(self, db: DBInterface) -> None:
        db._insert("b", [{"_id": 1}])
        db._insert("a c", [{"_id": 1}])
        db._insert("gone", [{"_id": 1}])
        db._delete("gone", {})
        db._put([b"a" * 5000])
        assert db._collections() == ["a c", "b"]

    def test_asking_makes_no_collection(self, db: DBInterface) -> None:
        db._find("none", {})
        db._update("none", {"_id": 1}, {"$set": {"a": 1}})
        assert db._collections() == []

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
        db._insert("c", [{"_id": i, "pad": ""} for i in (30, 1, 2)])
        db._update("c", {"_id": 30}, {"$set": {"pad": "x" * 5000}})
        db._insert("c", [{"_id": 0}])
        assert plain_ids(db, "c") == [30, 1, 2, 0]

    def test_document_that_came_again_is_the_last(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i} for i in (1, 2, 3)])
        db._delete("c", {"_id": 1})
        db._insert("c", [{"_id": 1}])
        assert plain_ids(db, "c") == [2, 3, 1]

    def test_equals_of_a_sort_stay_in_order_of_insertion(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i, "a": i % 2} for i in (5, 9, 1, 4, 3, 8)])
        up = plain_ids(db, "c", sort=[("a", 1)])
        down = plain_ids(db, "c", sort=[("a", -1)])
        assert (up, down) == ([4, 8, 5, 9, 1, 3], [5, 9, 1, 3, 4, 8])

    def test_window_of_equals_is_a_part_of_the_whole(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i, "a": 0} for i in (5, 9, 1, 4, 3, 8)])
        pages = [
            plain_ids(db, "c", sort=[("a", -1)], skip=skip, limit=2)
            for skip in (0, 2, 4)
        ]
        assert pages == [[5, 9], [1, 4], [3, 8]]

    def test_window_past_the_end_is_empty(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}])
        assert db._find("c", {}, skip=5, limit=2) == []

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

    def test_documents_found_by_an_expression_are_deleted(
        self, db: DBInterface
    ) -> None:
        db._insert("c", [{"_id": 1, "a": 2, "b": 2}, {"_id": 2, "a": 1, "b": 2}])
        assert db._delete("c", {"$expr": {"$eq": ["$a", "$b"]}}) == 1
        assert [each["_id"] for each in db._find("c", {})] == [2]

    def test_delete_removes_what_is_found(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i} for i in range(4)])
        assert db._delete("c", {"_id": {"$gte": 2}}) == 2
        assert db._find("c", {}) == [{"_id": 0}, {"_id": 1}]

    def test_delete_of_nothing_removes_nothing(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}])
        assert (db._delete("c", {"_id": 2}), db._delete("none", {})) == (0, 0)
        assert db._count("c", {}) == 1

    def test_database_works_after_close(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}])
        (digest,) = db._put([b"a" * 2000])
        db.close()
        assert (db._count("c", {}), bytes(db._get(digest))) == (1, b"a" * 2000)

    @pytest.mark.usefixtures("needs_persistence")
    def test_data_is_there_when_opened_again(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i} for i in (3, 1)])
        (digest,) = db._put([b"a" * 2000])
        db.close()
        with self.reopen(db) as again:
            assert plain_ids(again, "c") == [3, 1]
            assert bytes(again._get(digest)) == b"a" * 2000

    @pytest.mark.usefixtures("needs_persistence")
    def test_two_see_what_either_writes(self, db: DBInterface) -> None:
        with self.reopen(db) as other:
            db._insert("c", [{"_id": 1}])
            other._insert("c", [{"_id": 2}])
            db._update("c", {"_id": 2}, {"$set": {"a": 1}})
            assert other._find("c", {}) == db._find("c", {})
            assert plain_ids(db, "c", filter={"a": 1}) == [2]
