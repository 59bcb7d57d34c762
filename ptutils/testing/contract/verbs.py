"""The verbs for people: save load find update delete load_from_ids access exists."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptutils.core.dbinterface import DBInterface
from ptutils.errors import DatabaseError, EncodeError, NotFoundError, QueryError
from ptutils.meta.values import Document, Value
from ptutils.testing.contract.base import Contract
from ptutils.testing.sameness import same

__all__ = ["VerbsContract"]


def experiment(**more: Value) -> Document:
    """Return a document as somebody might save it."""
    return {
        "name": "first",
        "betas": (0.9, 0.999),
        "weights": torch.arange(2000.0),
        "small": np.eye(3, dtype=np.float16),
        "layers": [{"size": 3, "bias": torch.zeros(3)}, {"size": 5, 7: {1, 2}}],
        **more,
    }


class VerbsContract(Contract):
    """What a user does with documents of their own."""

    def test_saved_document_is_loaded_by_its_id(self, db: DBInterface) -> None:
        identity = db.save(experiment())
        assert same(db.load(identity), {"_id": identity, **experiment()})

    def test_saved_document_is_loaded_by_a_filter(self, db: DBInterface) -> None:
        db.save(experiment(name="other"))
        identity = db.save(experiment())
        assert db.load({"name": "first", "betas": 0.999})["_id"] == identity

    def test_own_id_is_kept(self, db: DBInterface) -> None:
        assert [db.save({"_id": each}) for each in ("a.b", 7)] == ["a.b", 7]
        assert [db.load(each)["_id"] for each in (7, "a.b")] == [7, "a.b"]

    def test_taken_id_is_refused(self, db: DBInterface) -> None:
        db.save({"_id": "a", "x": 1})
        with pytest.raises(DatabaseError, match="an '_id' that is not taken"):
            db.save({"_id": "a", "x": 2})
        assert db.load("a")["x"] == 1

    def test_document_that_cannot_be_stored_leaves_nothing(
        self, db: DBInterface
    ) -> None:
        with pytest.raises(EncodeError, match="layers"):
            db.save(experiment(layers=[object()]))
        assert db.find() == []

    def test_missing_document_is_an_error(self, db: DBInterface) -> None:
        db.save({"_id": 1})
        with pytest.raises(NotFoundError, match="found no document in 'documents'"):
            db.load(2)

    def test_found_documents_have_their_types(self, db: DBInterface) -> None:
        ids = [db.save(experiment(n=n)) for n in range(3)]
        found = db.find({"n": {"$gt": 0}}, sort=[("n", -1)], limit=1)
        assert same(found, [{"_id": ids[2], **experiment(n=2)}])

    def test_projected_documents_have_their_types(self, db: DBInterface) -> None:
        db.save({"_id": 1, **experiment()})
        (found,) = db.find(projection=["betas", "layers.size"])
        assert same(
            found,
            {"_id": 1, "betas": (0.9, 0.999), "layers": [{"size": 3}, {"size": 5}]},
        )

    def test_dropped_paths_are_left_out(self, db: DBInterface) -> None:
        db.save({"_id": 1, "a": (1, 2), "b": torch.ones(2)})
        assert db.find(projection={"b": 0, "_id": 0}) == [{"a": (1, 2)}]

    def test_collections_are_apart_for_users_too(self, db: DBInterface) -> None:
        db.save({"_id": 1, "a": 1}, "notes")
        assert (db.find(), db.find(collection="notes")) == ([], [{"_id": 1, "a": 1}])

    def test_update_changes_plain_values(self, db: DBInterface) -> None:
        identity = db.save(experiment())
        change = {"$set": {"name": "new", "layers.0.size": 4}, "$inc": {"count": 1}}
        assert db.update({"_id": identity}, change) == 1
        found = db.load(identity)
        assert (found["name"], found["layers"][0]["size"], found["count"]) == (
            "new",
            4,
            1,
        )
        assert same(found["weights"], torch.arange(2000.0))

    def test_update_of_a_value_with_a_type_is_refused(self, db: DBInterface) -> None:
        db.save(experiment())
        with pytest.raises(QueryError, match=r"cannot update 'betas\.0' in place"):
            db.update({}, {"$set": {"betas.0": 0.5}})
        assert db.load({})["betas"] == (0.9, 0.999)

    def test_upsert_saves_a_document(self, db: DBInterface) -> None:
        assert db.update({"_id": "a"}, {"$inc": {"n": 2}}, upsert=True) == 1
        assert db.load("a") == {"_id": "a", "n": 2}

    def test_all_that_is_found_is_updated(self, db: DBInterface) -> None:
        for n in range(3):
            db.save({"n": n, "pair": (n, n)})
        assert db.update({"n": {"$lt": 2}}, {"$set": {"old": True}}, many=True) == 2
        assert [each["pair"] for each in db.find({"old": True})] == [(0, 0), (1, 1)]

    def test_deleted_documents_are_gone(self, db: DBInterface) -> None:
        for n in range(3):
            db.save(experiment(n=n))
        assert db.delete({"n": {"$ne": 1}}) == 2
        assert [each["n"] for each in db.find()] == [1]

    def test_documents_are_loaded_in_the_order_of_their_ids(
        self, db: DBInterface
    ) -> None:
        ids = [db.save(experiment(n=n)) for n in range(4)]
        wanted = [ids[2], ids[0], ids[2]]
        assert [each["n"] for each in db.load_from_ids(wanted)] == [2, 0, 2]

    def test_all_missing_ids_are_named(self, db: DBInterface) -> None:
        db.save({"_id": "here"})
        with pytest.raises(NotFoundError, match=r"cannot load 2 of 3(.|\n)*'x', 'y'"):
            db.load_from_ids(["x", "here", "y"])

    def test_existence_is_asked_by_filter(self, db: DBInterface) -> None:
        db.save(experiment())
        assert (db.exists({"name": "first"}), db.exists({"name": 1})) == (True, False)

    def test_access_answers_every_verb(self, db: DBInterface) -> None:
        identity = db.access({"verb": "save", "document": experiment()})
        by_id = {"_id": identity}
        assert db({"verb": "exists", "filter": by_id})
        assert same(db({"verb": "load", "which": identity}), {**by_id, **experiment()})
        assert len(db({"verb": "find", "filter": by_id, "limit": 1})) == 1
        assert len(db({"verb": "load_from_ids", "ids": [identity]})) == 1
        change = {"$set": {"name": "new"}}
        assert db({"verb": "update", "filter": by_id, "update": change}) == 1
        assert db({"verb": "delete", "filter": by_id}) == 1

    def test_access_by_another_verb_is_refused(self, db: DBInterface) -> None:
        with pytest.raises(QueryError, match="did you mean 'save'"):
            db.access({"verb": "safe"})

    @pytest.mark.usefixtures("needs_persistence")
    def test_url_opens_the_same_documents(self, db: DBInterface) -> None:
        identity = db.save(experiment())
        db.close()
        with self.reopen(db) as again:
            assert same(again.load(identity), {"_id": identity, **experiment()})

    def test_database_closes_twice(self, db: DBInterface) -> None:
        db.save({"_id": 1})
        db.close()
        db.close()
        assert db.exists({"_id": 1})
