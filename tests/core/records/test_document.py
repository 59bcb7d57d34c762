"""Filters in plain form: values are encoded, operators stay what they are."""

from __future__ import annotations

import numpy as np
import pytest

from ptutils.core.records.document import plain_filter
from ptutils.db.memory import MemoryInterface
from ptutils.errors import EncodeError
from ptutils.meta.values import Value


@pytest.mark.parametrize(
    ("filter", "plain"),
    [
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({"a": {"$in": {2**70}}}, {"a": {"$in": [str(2**70)]}}),
        ({"$expr": {"$gt": ("$a", "$b")}}, {"$expr": {"$gt": ["$a", "$b"]}}),
        ({"$expr": {"$not": "$a"}}, {"$expr": {"$not": "$a"}}),
        (
            {"$expr": {"$eq": ["$a", {"$literal": (1, {"$b": 2})}]}},
            {"$expr": {"$eq": ["$a", {"$literal": [1, {"＄b": 2}]}]}},
        ),
        ({"a": {"$elemMatch": {"$or": [{"b": 1}], "c": {"$gt": 1}}}}, None),
        ({"a": {"$elemMatch": {"b": {"$gt": 1}}}}, None),
        ({"a": {"$elemMatch": {"$gt": 1, "$lt": 5}}}, None),
        ({"a": {"$elemMatch": 1}}, None),
    ],
)
def test_operators_stay_what_they_are(filter: Value, plain: Value) -> None:
    assert plain_filter(filter) == (plain or filter)


def test_fields_are_compared_with_each_other() -> None:
    db = MemoryInterface()
    db.save({"_id": 1, "spent": 5, "budget": 3})
    db.save({"_id": 2, "spent": 2, "budget": 3})
    assert [
        each["_id"] for each in db.find({"$expr": {"$gt": ["$spent", "$budget"]}})
    ] == [1]


def test_array_in_an_expression_is_refused() -> None:
    with pytest.raises(EncodeError, match="cannot search for arrays or tensors"):
        plain_filter({"$expr": {"$eq": ["$a", np.ones(3)]}})
