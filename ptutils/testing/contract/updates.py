"""Updates: one or many, upsert, compare-and-set, from many threads."""

from __future__ import annotations

import pytest

from ptutils.core.dbinterface import DBInterface
from ptutils.errors import QueryError
from ptutils.meta.values import Document
from ptutils.testing.contract.base import Contract, in_threads

__all__ = ["UpdatesContract"]


class UpdatesContract(Contract):
    """Change stored documents."""

    def test_update_changes_the_first_one(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 2}, {"_id": 1}])
        assert db._update("c", {}, {"$set": {"a": 1}}) == 1
        assert db._find("c", {}) == [{"_id": 2, "a": 1}, {"_id": 1}]

    def test_update_changes_all(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}, {"_id": 2}])
        assert db._update("c", {}, {"$inc": {"a": 1}}, many=True) == 2
        assert db._count("c", {"a": 1}) == 2

    @pytest.mark.parametrize(
        ("update", "left"),
        [
            ({"$set": {"a.b": 1, "n": 2}}, {"n": 2, "list": [1, 2, 1], "a": {"b": 1}}),
            ({"$unset": {"n": 1, "none": 1}}, {"list": [1, 2, 1]}),
            ({"$inc": {"n": -2, "m": 1.5}}, {"n": -1, "list": [1, 2, 1], "m": 1.5}),
            ({"$push": {"list": 3}}, {"n": 1, "list": [1, 2, 1, 3]}),
            ({"$push": {"list": {"$each": [3, 4]}}}, {"n": 1, "list": [1, 2, 1, 3, 4]}),
            (
                {"$addToSet": {"list": {"$each": [2, 3]}}},
                {"n": 1, "list": [1, 2, 1, 3]},
            ),
            ({"$pull": {"list": 1}}, {"n": 1, "list": [2]}),
            ({"$set": {"list.1": {}}}, {"n": 1, "list": [1, {}, 1]}),
        ],
    )
    def test_operator_changes_the_document(
        self, db: DBInterface, update: Document, left: Document
    ) -> None:
        db._insert("c", [{"_id": 1, "n": 1, "list": [1, 2, 1]}])
        db._update("c", {"_id": 1}, update)
        assert db._find("c", {}) == [{"_id": 1, **left}]

    def test_update_that_changes_nothing_counts_what_it_found(
        self, db: DBInterface
    ) -> None:
        db._insert("c", [{"_id": 1, "a": 1}])
        assert db._update("c", {"_id": 1}, {"$set": {"a": 1}}) == 1

    def test_update_of_nothing_changes_nothing(self, db: DBInterface) -> None:
        assert db._update("c", {"_id": 1}, {"$set": {"a": 1}}) == 0
        assert db._find("c", {}) == []

    def test_updated_document_is_found_by_its_new_values(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1, "a": "old"}])
        db._find("c", {"a": "old"})
        db._update("c", {"_id": 1}, {"$set": {"a": "new"}})
        assert (db._count("c", {"a": "old"}), db._count("c", {"a": "new"})) == (0, 1)

    def test_upsert_inserts_what_filter_and_update_say(self, db: DBInterface) -> None:
        changes = {"$set": {"b": 2}}
        assert db._update("c", {"_id": 1, "a": 1}, changes, upsert=True) == 1
        assert db._find("c", {}) == [{"_id": 1, "a": 1, "b": 2}]

    def test_upsert_makes_an_id_where_there_is_none(self, db: DBInterface) -> None:
        db._update("c", {"a": 1}, {"$set": {"b": 2}}, upsert=True)
        (found,) = db._find("c", {})
        assert (list(found), found["_id"] is not None) == (["_id", "a", "b"], True)

    def test_upsert_changes_what_is_there(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1, "a": 1}])
        db._update("c", {"a": 1}, {"$set": {"b": 2}}, upsert=True)
        assert db._find("c", {}) == [{"_id": 1, "a": 1, "b": 2}]

    def test_failing_update_changes_no_document(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1, "a": 1}, {"_id": 2, "a": "text"}])
        with pytest.raises(QueryError, match="a number to add to"):
            db._update("c", {}, {"$inc": {"a": 1}}, many=True)
        assert db._find("c", {"_id": 1}) == [{"_id": 1, "a": 1}]

    def test_id_stays(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1}])
        with pytest.raises(QueryError, match="cannot change an '_id'"):
            db._update("c", {}, {"$set": {"_id": 2}})

    @pytest.mark.parametrize(
        ("update", "text"),
        [
            ({"$sett": {"a": 1}}, "unknown update operator"),
            ({"a": 1}, "unknown update operator"),
            ({}, "a dict of operators"),
            ({"$set": {"a": 1, "a.b": 2}}, "one change per path"),
        ],
    )
    def test_wrong_update_is_refused(
        self, db: DBInterface, update: Document, text: str
    ) -> None:
        with pytest.raises(QueryError, match=text):
            db._update("c", {}, update)

    def test_update_compares_and_sets(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 1, "owner": None}])
        taken = [
            db._update("c", {"_id": 1, "owner": None}, {"$set": {"owner": name}})
            for name in "ab"
        ]
        assert (taken, db._find("c", {})[0]["owner"]) == ([1, 0], "a")

    def test_one_of_many_threads_takes_what_is_free(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i, "owner": None} for i in range(5)])

        def take(number: int) -> int:
            change = {"$set": {"owner": number}}
            return sum(
                db._update("c", {"_id": i, "owner": None}, change) for i in range(5)
            )

        assert sum(in_threads(4, take)) == 5

    def test_threads_share_a_database(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 0, "n": 0}])

        def work(number: int) -> None:
            for step in range(20):
                db._insert("c", [{"_id": f"{number}-{step}"}])
                db._update("c", {"_id": 0}, {"$inc": {"n": 1}})

        in_threads(4, work)
        assert (db._count("c", {}), db._find("c", {"_id": 0})[0]["n"]) == (81, 80)
