from __future__ import annotations

import re

import pytest

from ptutils.db.filters.update import compile_update
from ptutils.db.filters.upsert import seed
from ptutils.errors import QueryError
from ptutils.meta.values import Document, Value


@pytest.mark.parametrize(
    ("update", "before", "after"),
    [
        ({"$set": {"b.z": 1, "a": 2, "b.a": 3}}, {}, {"a": 2, "b": {"a": 3, "z": 1}}),
        ({"$set": {"a.3": 1}}, {"a": [0]}, {"a": [0, None, None, 1]}),
        ({"$set": {"a.1.b": 1}}, {"a": [0]}, {"a": [0, {"b": 1}]}),
        ({"$set": {"a.10": 1, "a.9": 2}}, {}, {"a": {"9": 2, "10": 1}}),
        (
            {"$unset": {"a.b": 1, "c": 1, "d.e": 1}},
            {"a": {"b": 1}, "d": 1},
            {"a": {}, "d": 1},
        ),
        ({"$unset": {"a.0": 1, "a.9": 1}}, {"a": [1, 2]}, {"a": [None, 2]}),
        ({"$unset": {"a.b": 1}}, {"a": [1]}, {"a": [1]}),
        ({"$inc": {"a": 1, "b": 0.5}}, {"b": 1}, {"b": 1.5, "a": 1}),
        ({"$inc": {"a": 0}}, {"a": 1}, {"a": 1}),
        (
            {"$push": {"a": 1, "b": {"$each": [1, 2]}}},
            {"b": [0]},
            {"b": [0, 1, 2], "a": [1]},
        ),
        ({"$addToSet": {"a": {"$each": [1.0, 2, 2]}}}, {"a": [1]}, {"a": [1, 2]}),
        ({"$pull": {"a": {"$gt": 1}}}, {"a": [1, 2, 3]}, {"a": [1]}),
        (
            {"$pull": {"a": {"b": 1}}},
            {"a": [{"b": 1}, {"b": 2}, 1]},
            {"a": [{"b": 2}, 1]},
        ),
        ({"$pull": {"a": [1]}}, {"a": [1, [1]]}, {"a": [1]}),
        ({"$pull": {"a": re.compile("^x")}}, {"a": ["x", "y"]}, {"a": ["y"]}),
        ({"$pull": {"a.b": 1}}, {"c": 1}, {"c": 1}),
        ({"$set": {"_id": 1}}, {"_id": 1}, {"_id": 1}),
    ],
)
def test_update_changes(update: Document, before: Document, after: Document) -> None:
    changed = compile_update(update)(before)
    assert (changed, list(changed)) == (after, list(after))


@pytest.mark.parametrize(
    ("update", "text"),
    [
        ({}, "a dict of operators"),
        (1, "a dict of operators"),
        ({"a": 1}, "to replace a value use '\\$set'"),
        ({"$sett": {"a": 1}}, "unknown update operator '\\$sett'(.|\n)*mean '\\$set'"),
        ({"$set": 1}, "a dict of paths under \\$set"),
        ({"$set": {"a": 1, "a.b": 2}}, "one change per path"),
        ({"$set": {"a": 1}, "$inc": {"a": 1}}, "one change per path"),
        ({"$set": {"a.$": 1}}, "cannot use this path in an update"),
        ({"$inc": {"a": True}}, "a number to add with \\$inc"),
        ({"$push": {"a": {"$each": 1}}}, "and nothing beside it under \\$push"),
        ({"$push": {"a": {"$each": [], "$slice": 1}}}, "and nothing beside it"),
        ({"$set": {"a": {1}}}, "cannot compare this value"),
    ],
)
def test_wrong_update_is_refused(update: Value, text: str) -> None:
    with pytest.raises(QueryError, match=text):
        compile_update(update)


@pytest.mark.parametrize(
    ("update", "before", "text"),
    [
        ({"$set": {"a.b": 1}}, {"a": 1}, "a dict, or a list with a numeric part"),
        ({"$set": {"a.b": 1}}, {"a": [1]}, "a dict, or a list with a numeric part"),
        ({"$pull": {"a.b": 1}}, {"a": "x"}, "a dict, or a list with a numeric part"),
        ({"$set": {"a.2000000": 1}}, {"a": []}, "at most 1500000 new places"),
        ({"$inc": {"a": 1}}, {"a": None}, "a number to add to with \\$inc"),
        ({"$inc": {"a": 1}}, {"a": 2**63 - 1}, "a sum of at most 64 bits"),
        ({"$push": {"a": 1}}, {"a": None}, "a list under \\$push"),
        ({"$addToSet": {"a": 1}}, {"a": 1}, "a list under \\$addToSet"),
        ({"$pull": {"a": 1}}, {"a": 1}, "a list under \\$pull"),
        ({"$set": {"_id": 2}}, {"_id": 1}, "cannot change an '_id'"),
        ({"$set": {"_id": 1.0}}, {"_id": 1}, "cannot change an '_id'"),
        ({"$unset": {"_id": 1}}, {"_id": 1}, "got: +none"),
    ],
)
def test_update_that_does_not_fit_is_refused(
    update: Document, before: Document, text: str
) -> None:
    apply = compile_update(update)
    with pytest.raises(QueryError, match=text):
        apply(before)


def test_values_of_an_update_are_not_shared() -> None:
    apply = compile_update({"$set": {"a": []}})
    apply({})["a"].append(1)
    assert apply({}) == {"a": []}


@pytest.mark.parametrize(
    ("filter", "document"),
    [
        ({"b": 1, "a.c": 2}, {"a": {"c": 2}, "b": 1}),
        ({"a": {"$eq": 1, "$gt": 0}, "b": {"$gt": 1}}, {"a": 1}),
        ({"a": {"$in": [1]}, "b": {"$in": [1, 2]}}, {"a": 1}),
        ({"a": {"$in": [1, 1]}, "b": {"$in": []}}, {"a": 1}),
        ({"$and": [{"a": 1}, {"b": None}]}, {"a": 1, "b": None}),
        ({"$or": [{"a": 1}]}, {"a": 1}),
        ({"$or": [{"a": 1}, {"a": 2}], "$nor": [{"b": 1}]}, {}),
        ({"a": re.compile("x"), "b": {"$all": [1]}}, {"b": 1}),
        ({"a": {"$in": [re.compile("x")]}}, {}),
        ({"a": {"$all": [{"$elemMatch": {"b": 1}}]}}, {}),
    ],
)
def test_upsert_starts_from(filter: Document, document: Document) -> None:
    assert seed(filter) == document


@pytest.mark.parametrize(
    ("filter", "text"),
    [
        ({"a": 1, "$and": [{"a": 1}]}, "every path once"),
        ({"a": 1, "a.b": 1}, "every path once"),
        ({"a": {"$all": []}}, "what matches nothing"),
    ],
)
def test_upsert_that_contradicts_itself_is_refused(filter: Document, text: str) -> None:
    with pytest.raises(QueryError, match=text):
        seed(filter)


def test_increment_of_nothing_keeps_the_sign_of_zero() -> None:
    assert repr(compile_update({"$inc": {"a": 0}})({"a": -0.0})) == "{'a': -0.0}"
