from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ptutils.core.dbinterface import DBInterface
from ptutils.core.records.document import (
    new_id,
    plain_filter,
    plain_update,
    restrict,
    seal,
    unseal,
)
from ptutils.db.memory import MemoryInterface
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import (
    ConflictError,
    DatabaseError,
    EncodeError,
    NotFoundError,
    PtutilsError,
    QueryError,
)
from ptutils.meta.values import Document, Value

RICH = {
    "_id": "x",
    "betas": (0.9, 0.999),
    "by_step": {1: "a", 2: "b"},
    "big": 2**200,
    "weights": np.arange(1000.0),
    "small": np.float32(0.5),
    "nested": [{"pair": (1, 2), "plain": 3}, {"pair": (3, 4), "plain": 5}],
    "a.b": {"$c": 1},
    "note": "text",
}


@pytest.fixture(params=["memory", "sqlite"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DBInterface]:
    made = MemoryInterface() if request.param == "memory" else None
    with made or SQLiteInterface(str(tmp_path / "runs.db")) as db:
        yield db


def refuse(artifacts: Value) -> list[str]:
    raise AssertionError(artifacts)


def assert_same(one: Value, two: Value) -> None:
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert type(value) is type(two[name])
        assert_array_equal(value, two[name]) if name == "weights" else None
        assert name == "weights" or value == two[name]


def test_database_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        DBInterface()


def test_saved_document_loads_exactly(db: DBInterface) -> None:
    assert db.save(RICH) == "x"
    assert_same(db.load("x"), RICH)


def test_saving_leaves_the_document_alone(db: DBInterface) -> None:
    document = {"pair": (1, 2)}
    db.save(document)
    assert document == {"pair": (1, 2)}


def test_plain_document_needs_no_sidecar(db: DBInterface) -> None:
    db.save({"_id": 1, "a": [1, {"b": None}]})
    assert db._find("documents", {}) == [{"_id": 1, "a": [1, {"b": None}]}]


def test_large_arrays_become_artifacts_and_small_ones_stay(db: DBInterface) -> None:
    db.save({"large": np.zeros(2000), "small": np.ones(3)})
    (plain,) = db._find("documents", {})
    kinds = {type(each) for each in plain["_ptutils"]["artifacts"]}
    assert kinds == {str, bytes}


def test_id_is_made_and_returned(db: DBInterface) -> None:
    assert db.load(db.save({"a": 1}))["a"] == 1


def test_new_ids_sort_by_time() -> None:
    ids = [new_id() for _ in range(100)]
    assert len({*ids}) == 100
    assert [each[:12] for each in ids] == sorted(each[:12] for each in ids)


def test_taken_id_is_refused(db: DBInterface) -> None:
    db.save({"_id": 1})
    with pytest.raises(DatabaseError, match="an '_id' that is not taken"):
        db.save({"_id": 1})


def test_value_that_cannot_be_stored_stores_nothing(db: DBInterface) -> None:
    with pytest.raises(EncodeError, match=r"at 'a\.b'"):
        db.save({"a": {"b": object()}})
    assert db.find() == []


def test_only_dicts_are_documents(db: DBInterface) -> None:
    with pytest.raises(DatabaseError, match=r"wrap it: db.save\(\{'value'"):
        db.save([1])


def test_load_takes_a_filter(db: DBInterface) -> None:
    db.save(RICH)
    assert db.load({"betas": (0.9, 0.999)})["_id"] == "x"


def test_load_of_nothing_says_where_it_looked(db: DBInterface) -> None:
    db.save({"_id": 1}, "other")
    with pytest.raises(
        NotFoundError, match=r"found no document in 'other'(.|\n)*got: +1"
    ):
        db.load(2, "other")


def test_find_returns_all_in_order(db: DBInterface) -> None:
    for number in (2, 1, 3):
        db.save({"_id": number, "pair": (number,)})
    assert [each["pair"] for each in db.find()] == [(2,), (1,), (3,)]
    found = db.find({"_id": {"$gt": 1}}, sort=[("_id", -1)], skip=1, limit=1)
    assert found == [{"_id": 2, "pair": (2,)}]


@pytest.mark.parametrize(
    ("projection", "left"),
    [
        (["betas"], {"_id": "x", "betas": (0.9, 0.999)}),
        ({"by_step": 1, "_id": 0}, {"by_step": {1: "a", 2: "b"}}),
        (
            {"nested.pair": 1, "_id": 0},
            {"nested": [{"pair": (1, 2)}, {"pair": (3, 4)}]},
        ),
        ({"nested": {"plain": 1}, "_id": 0}, {"nested": [{"plain": 3}, {"plain": 5}]}),
        ({"_id": 1}, {"_id": "x"}),
        ({"_id": 1, "note": 1}, {"_id": "x", "note": "text"}),
        (
            dict.fromkeys(["weights", "nested", "big", "small", "a．b", "_id"], 0),
            {"betas": (0.9, 0.999), "by_step": {1: "a", 2: "b"}, "note": "text"},
        ),
    ],
)
def test_projection_keeps_types(
    db: DBInterface, projection: Value, left: Document
) -> None:
    db.save(RICH)
    assert db.find(projection=projection) == [left]


def test_projection_that_hides_the_id_shows_the_rest(db: DBInterface) -> None:
    db.save({"a": 1})
    assert db.find(projection={"_id": 0}) == [{"a": 1}]


def test_projection_of_plain_documents_asks_once(db: DBInterface) -> None:
    db.save({"_id": 1, "a": {"b": 1, "c": 2}})
    assert db.find(projection={"a": {"b": 0}}) == [{"_id": 1, "a": {"c": 2}}]


def test_list_that_lost_elements_is_shown_plainly() -> None:
    whole = [{"a": [1, 2]}, 3]
    assert restrict([{"a": (1, 2)}, 3], whole, [{"a": [1, 2]}]) == [{"a": [1, 2]}]


@pytest.mark.parametrize(
    "filter",
    [
        {"a": 1},
        {"$and": ({"a": 1}, {"$or": [{"a": 1}]})},
        {"a": {"$in": {1, 2}}},
        {"a": {"$not": {"$gt": 5}}},
        {"a": {"$gt": np.float64(0.5)}},
        {"pair": (1, 2)},
        {"pair": {"$elemMatch": {"$gt": 1}}},
        {"pair": {"$all": (1, 2)}},
        {"list": {"$elemMatch": {"x": (1, 2)}}},
        {"list": {"$elemMatch": {"$and": [{"x": (1, 2)}]}}},
        {"list": {"$all": [{"$elemMatch": {"x": (1, 2)}}]}},
        {"text": re.compile("^t")},
        {"at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"big": 2**100},
        {"keys": {"a.b": 1}},
        {"none": None},
        {},
    ],
)
def test_filters_take_what_documents_hold(db: DBInterface, filter: Document) -> None:
    document = {
        "a": 1,
        "pair": (1, 2),
        "list": [{"x": (1, 2)}],
        "text": "text",
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "big": 2**100,
        "keys": {"a.b": 1},
    }
    db.save(document)
    assert db.exists(filter)


def test_filter_by_an_array_is_refused() -> None:
    with pytest.raises(EncodeError, match="cannot search for arrays or tensors"):
        plain_filter({"a": np.zeros(3)})


def test_wrong_filter_is_left_to_the_backend(db: DBInterface) -> None:
    with pytest.raises(QueryError, match="cannot use this filter so"):
        db.exists([1])


def test_exists_says_whether_anything_is_found(db: DBInterface) -> None:
    db.save({"a": 1})
    assert (db.exists({"a": 1}), db.exists({"a": 2})) == (True, False)


def test_update_changes_plain_values_beside_others(db: DBInterface) -> None:
    db.save(RICH)
    changes = {
        "$set": {"note": "new", "fresh.deep": [1]},
        "$inc": {"nested.0.plain": 1},
    }
    assert db.update({"_id": "x"}, changes) == 1
    found = db.load("x")
    assert (found["note"], found["fresh"], found["nested"][0]) == (
        "new",
        {"deep": [1]},
        {"pair": (1, 2), "plain": 4},
    )


@pytest.mark.parametrize(
    "path", ["betas", "betas.0", "by_step.1", "weights", "nested", "a．b"]
)
def test_update_of_a_value_with_a_type_is_refused(db: DBInterface, path: str) -> None:
    db.save(RICH)
    with pytest.raises(QueryError, match=rf"cannot update '{path}' in place at 'docu"):
        db.update({"_id": "x"}, {"$set": {path: 1}})
    assert_same(db.load("x"), RICH)


def test_update_checks_all_that_it_would_change(db: DBInterface) -> None:
    db.save({"_id": 1, "a": 1})
    db.save({"_id": 2, "a": (1,)})
    with pytest.raises(QueryError, match=r"at 'documents\.2'"):
        db.update({}, {"$set": {"a": 2}}, many=True)
    assert db.load(1) == {"_id": 1, "a": 1}


def test_update_with_upsert_inserts(db: DBInterface) -> None:
    assert db.update({"_id": 1}, {"$set": {"a": 1}}, upsert=True) == 1
    assert db.load(1) == {"_id": 1, "a": 1}


@pytest.mark.parametrize(
    ("update", "plain"),
    [
        ({"$push": {"a": {"$each": (1, 2)}}}, {"$push": {"a": {"$each": [1, 2]}}}),
        ({"$pull": {"a": {"b": (1, 2)}}}, {"$pull": {"a": {"b": [1, 2]}}}),
        ({"$pull": {"a": {"$in": (1,)}}}, {"$pull": {"a": {"$in": [1]}}}),
        ({"$set": 1}, {"$set": 1}),
        ([], []),
    ],
)
def test_update_becomes_plain(update: Value, plain: Value) -> None:
    assert plain_update(update) == plain


def test_update_of_nothing_but_other_paths_is_fine(db: DBInterface) -> None:
    db.save({"_id": 1, "pair": (1, 2), "text": "a"})
    update = {"$set": {"text": "b"}, "$inc": {"count.of": 1}, "$unset": {"none": 1}}
    db.update({"_id": 1}, update)
    assert db.load(1) == {"_id": 1, "pair": (1, 2), "text": "b", "count": {"of": 1}}


@pytest.mark.parametrize("value", [(1,), {1: 2}, np.zeros(2), 2**70])
def test_update_with_a_value_that_is_not_plain_is_refused(
    db: DBInterface, value: Value
) -> None:
    with pytest.raises(
        EncodeError, match="cannot write this value by an update at 'a'"
    ):
        db.update({}, {"$set": {"a": value}})


def test_delete_says_how_many(db: DBInterface) -> None:
    for number in range(3):
        db.save({"_id": number})
    assert (db.delete({"_id": {"$gt": 0}}), db.find()) == (2, [{"_id": 0}])


def test_load_from_ids_keeps_their_order(db: DBInterface) -> None:
    for number in range(3):
        db.save({"_id": number})
    assert [each["_id"] for each in db.load_from_ids([2, 0])] == [2, 0]


def test_load_from_ids_names_all_that_are_missing(db: DBInterface) -> None:
    db.save({"_id": 1})
    with pytest.raises(NotFoundError, match=r"2 of 3 documents(.|\n)*no .* 'a', 'b'"):
        db.load_from_ids(["a", 1, "b"])


class Contended(MemoryInterface):
    """Finds a number of times that another process was faster."""

    conflicts = 0

    def _update(self, *arguments: Value, **options: Value) -> int:
        if self.conflicts:
            self.conflicts -= 1
            raise ConflictError("another process wrote the same at that moment")
        return super()._update(*arguments, **options)


def test_update_is_done_again_where_another_process_was_faster() -> None:
    db = Contended()
    db.save({"_id": 1, "n": 1})
    db.conflicts = 3
    assert db.update({"_id": 1}, {"$inc": {"n": 1}}) == 1
    assert db.load(1)["n"] == 2


def test_update_is_not_tried_for_ever() -> None:
    db = Contended()
    db.conflicts = 1_000_000
    with pytest.raises(ConflictError, match="another process wrote the same"):
        db.update({}, {"$inc": {"n": 1}})


def test_requests_are_answered_by_the_call(db: DBInterface) -> None:
    db({"verb": "save", "document": {"_id": 1, "a": (1,)}})
    assert db({"verb": "load", "which": 1}) == {"_id": 1, "a": (1,)}
    assert db.access({"verb": "exists", "filter": {"a": 2}}) is False


def test_request_with_another_verb_is_refused(db: DBInterface) -> None:
    with pytest.raises(QueryError, match=r"verb 'fnd'(.|\n)*did you mean 'find'"):
        db({"verb": "fnd"})


def test_request_without_a_verb_is_refused(db: DBInterface) -> None:
    with pytest.raises(QueryError, match="with the verb None"):
        db({"which": 1})


def test_flush_keeps_what_was_saved(db: DBInterface) -> None:
    db.save({"_id": 1})
    db.flush()
    assert db.exists({"_id": 1})


def test_runs_are_those_of_this_database(db: DBInterface) -> None:
    assert list(db.runs.find({})) == []


def test_database_is_built_from_its_config(db: DBInterface) -> None:
    again = type(db).from_meta(config=db.config)
    assert again.config == db.config


def test_sealed_document_opens_without_the_store() -> None:
    plain = seal({"_id": 1, "pair": (1, 2)}, refuse)
    assert unseal(plain, refuse) == {"_id": 1, "pair": (1, 2)}


def test_errors_are_of_this_package() -> None:
    assert issubclass(NotFoundError, PtutilsError)
