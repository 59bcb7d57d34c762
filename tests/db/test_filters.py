from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from ptutils.db.filters.match import compile_filter
from ptutils.db.filters.order import EMPTY, MISSING, invert, key
from ptutils.db.filters.paths import position
from ptutils.db.filters.project import compile_projection
from ptutils.db.filters.sort import compile_sort, ordered
from ptutils.errors import QueryError
from ptutils.meta.values import Document, Value

ASCENDING = [
    EMPTY,
    None,
    math.nan,
    -math.inf,
    -(2**63),
    -(2.0**62),
    -(2**53) - 1,
    -(2**53),
    -1,
    0,
    5e-324,
    1,
    1.5,
    2**53,
    2**53 + 1,
    2**53 + 2,
    2**63 - 1,
    2.0**63,
    math.inf,
    "",
    "a",
    "ab",
    "b",
    "é",
    "\U0001f600",
    {},
    {"b": None},
    {"a": 1},
    {"a": 1, "b": 0},
    {"a": "text"},
    [],
    [1],
    [1, 0],
    [[]],
    b"",
    b"b",
    b"aa",
    False,
    True,
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=UTC),
]


def test_keys_sort_as_mongodb_does() -> None:
    keys = [key(value) for value in ASCENDING]
    assert keys == sorted(set(keys))


def test_no_key_begins_with_another() -> None:
    keys = [key(value) for value in ASCENDING]
    assert sorted(map(invert, keys)) == [invert(each) for each in reversed(keys)]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (1, 1.0),
        (0.0, -0.0),
        (2**53, 2.0**53),
        (None, MISSING),
        ([1, {"a": 2}], [1.0, {"a": 2.0}]),
        (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
        (
            datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            datetime(2026, 1, 1, 0, 0, 0, 999, tzinfo=UTC),
        ),
    ],
)
def test_equal_values_have_equal_keys(one: Value, two: Value) -> None:
    assert key(one) == key(two)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_int_past_64_bits_is_refused(value: int) -> None:
    with pytest.raises(QueryError, match="an int of more than 64 bits"):
        key(value)


def test_value_that_is_not_plain_is_refused() -> None:
    with pytest.raises(QueryError, match=r"cannot compare this value(.|\n)*\(set\)"):
        key({1})


@pytest.mark.parametrize(
    ("name", "index"),
    [("0", 0), ("12", 12), ("01", -1), ("a", -1), ("²", -1), ("", -1)],
)
def test_only_plain_numbers_are_positions(name: str, index: int) -> None:
    assert position(name) == index


@pytest.mark.parametrize(
    ("filter", "document"),
    [
        ({"a": [1, 2]}, {"a": [[1, 2], 3]}),
        ({"a": None}, {}),
        ({"a.b": None}, {"a": [{"c": 1}]}),
        ({"a": math.nan}, {"a": math.nan}),
        ({"a": {"$gt": 1, "$lt": 2}}, {"a": [0, 5]}),
        ({"a.b": 1}, {"a": [{"b": 2}, {"b": 1}]}),
        ({"a.1.b": 1}, {"a": [0, {"b": 1}]}),
        ({"a": {"$elemMatch": {"0": 1}}}, {"a": [[1]]}),
        ({"a": {"$in": [re.compile("^x")]}}, {"a": "xy"}),
        ({"a": {"$all": [re.compile("x")]}}, {"a": ["xy"]}),
        ({"a": {"$elemMatch": {"$or": [{"b": 1}]}}}, {"a": [{"b": 1}]}),
        ({"$nor": [{"a": 1}]}, {"a": 2}),
        ({"a": {"$type": "long"}}, {"a": 2**31}),
        ({"a": {"$mod": [4, -3]}}, {"a": -7}),
    ],
)
def test_filter_matches(filter: Document, document: Document) -> None:
    assert compile_filter(filter)(document)


@pytest.mark.parametrize(
    ("filter", "document"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": {"$gte": 1}}, {"a": "2"}),
        ({"a": {"$lt": math.nan}}, {"a": math.nan}),
        ({"a.b": None}, {"a": [1]}),
        ({"a.b": 1}, {"a": [[{"b": 1}]]}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}),
        ({"a": {"$eq": re.compile("x")}}, {"a": "x"}),
        ({"a": {"$mod": [2, 0]}}, {"a": 1e300}),
        ({"a": {"$mod": [2, 0]}}, {"a": math.inf}),
        ({"a": {"$all": []}}, {"a": []}),
        ({"a": {"$gt": None}}, {"a": 1}),
    ],
)
def test_filter_does_not_match(filter: Document, document: Document) -> None:
    assert not compile_filter(filter)(document)


@pytest.mark.parametrize(
    ("filter", "text"),
    [
        ([], "cannot use this filter so"),
        ({1: 2}, "paths that are text"),
        ({"a": {"$gtt": 1}}, "unknown operator '\\$gtt'(.|\n)*did you mean '\\$gt'"),
        ({"$ort": []}, "unknown operator '\\$ort'(.|\n)*did you mean '\\$or'"),
        ({"$gt": 1}, "unknown operator '\\$gt'"),
        ({"a": {"$zzzzzz": 1}}, "unknown operator '\\$zzzzzz'"),
        ({"a": {"$gt": 1, "b": 2}}, "unknown operator 'b'"),
        ({"$and": []}, "a list of at least one filter"),
        ({"$or": {}}, "a list of at least one filter"),
        ({"$and": [1]}, "cannot use this filter so"),
        ({"a": {"$in": 1}}, "cannot use \\$in so"),
        ({"a": {"$in": [{"$gt": 1}]}}, "values, no operators"),
        ({"a": {"$all": 1}}, "cannot use \\$all so"),
        ({"a": {"$all": [{"$gt": 1}]}}, "or \\$elemMatch in every place"),
        ({"a": {"$all": [{"$elemMatch": {}}, 1]}}, "in every place, or in none"),
        ({"a": {"$elemMatch": 1}}, "cannot use \\$elemMatch so"),
        ({"a": {"$not": {}}}, "operators or a pattern"),
        ({"a": {"$not": 1}}, "operators or a pattern"),
        ({"a": {"$ne": re.compile("x")}}, "cannot use \\$ne so"),
        ({"a": {"$gt": re.compile("x")}}, "cannot use \\$gt so"),
        ({"a": {"$size": 1.5}}, "a whole number that is not negative"),
        ({"a": {"$size": -1}}, "a whole number that is not negative"),
        ({"a": {"$size": True}}, "a finite number"),
        ({"a": {"$type": "text"}}, "a BSON type"),
        ({"a": {"$type": 1.5}}, "a BSON type"),
        ({"a": {"$type": []}}, "at least one type"),
        ({"a": {"$mod": [2]}}, "\\[divisor, remainder\\]"),
        ({"a": {"$mod": [0.5, 1]}}, "a divisor other than 0"),
        ({"a": {"$mod": [math.nan, 1]}}, "a finite number"),
        ({"a": {"$mod": [1e30, 1]}}, "at most 64 bits"),
        ({"a": {"$options": "i"}}, "a \\$regex beside it"),
        ({"$expr": {"$in": ["$a", [1]]}}, "one of \\$and, \\$eq(.|\n)*fix: "),
        ({"$expr": {"$eq": [1, 2], "$ne": [1, 2]}}, "cannot use \\$expr so"),
        ({"$expr": {"$eq": ["$a"]}}, "2 operands under \\$eq"),
        ({"$expr": {"$not": [1, 2]}}, "1 operands under \\$not"),
        ({"$expr": "$$ROOT"}, "a field path such as '\\$a.b'"),
        ({"$expr": "$a..b"}, "cannot use this path in \\$expr"),
        ({"$expr": {1}}, "cannot compare this value"),
        ({"a": {"$elemMatch": {"b": 1, "$expr": True}}}, "outside of \\$elemMatch"),
        ({"$exp": 1}, "did you mean '\\$expr'"),
        (
            {"a": {"$regex": re.compile("x"), "$options": "i"}},
            "flags in the pattern or",
        ),
    ],
)
def test_wrong_filter_is_refused(filter: Document, text: str) -> None:
    with pytest.raises(QueryError, match=text):
        compile_filter(filter)


def test_filter_of_too_many_levels_is_refused() -> None:
    filter: Document = {"a": 1}
    for _ in range(5000):
        filter = {"$and": [filter]}
    with pytest.raises(QueryError, match="fewer levels"):
        compile_filter(filter)


def test_text_that_no_document_holds_is_not_found() -> None:
    assert not compile_filter({"a": {"$in": ["\ud800", "b"]}})({"a": "c"})


def test_list_sorts_by_its_least_or_greatest_element() -> None:
    documents = [{"a": [2, 9]}, {"a": 3}, {"a": []}, {}]
    up = [each.get("a") for each in ordered(documents, [("a", 1)])]
    down = [each.get("a") for each in ordered(documents, [("a", -1)])]
    assert (up, down) == ([[], None, [2, 9], 3], [[2, 9], 3, None, []])


def test_paths_through_one_list_are_sorted_together() -> None:
    sort_key = compile_sort([("a.b", 1), ("a.c", 1)])
    assert sort_key({"a": [{"b": 1, "c": 5}, {"b": 2, "c": 0}]}) == (key(1), key(5))


def test_ordered_keeps_only_as_many_as_asked_for() -> None:
    assert list(ordered([{"a": 2}, {"a": 1}], [("a", 1)], 1)) == [{"a": 1}]


def test_last_direction_of_a_path_counts() -> None:
    assert compile_sort([("a", 1), ("a", -1)])({"a": 1}) == (invert(key(1)),)


@pytest.mark.parametrize("sort", [[("a", 2)], [("a", True)], ["ab"], [("a", 1, 1)]])
def test_wrong_direction_is_refused(sort: Value) -> None:
    with pytest.raises(QueryError, match="cannot sort so"):
        compile_sort(sort)


@pytest.mark.parametrize("path", ["", "a.", "a..b", "$a", "a.$b", 1])
def test_wrong_path_is_refused(path: Value) -> None:
    with pytest.raises(QueryError, match="cannot use this path in a sort"):
        compile_sort([(path, 1)])


def test_two_lists_in_one_sort_are_refused() -> None:
    sort_key = compile_sort([("a", 1), ("b", 1)])
    with pytest.raises(QueryError, match="cannot sort by two lists at once at 'b'"):
        sort_key({"a": [1], "b": [1]})


def test_place_that_is_also_a_key_is_refused() -> None:
    sort_key = compile_sort([("a.0", 1)])
    with pytest.raises(QueryError, match="that a list answers in two ways"):
        sort_key({"a": [{"0": 1}]})


@pytest.mark.parametrize(
    ("projection", "left"),
    [
        (None, {"_id": 1, "a": [{"b": 1, "c": 2}, 3, [{"b": 4}]], "d": {"e": 5}}),
        (["d"], {"_id": 1, "d": {"e": 5}}),
        ({"a.b": 1, "_id": 0}, {"a": [{"b": 1}, [{"b": 4}]]}),
        ({"a": 0}, {"_id": 1, "d": {"e": 5}}),
        ({"a": {"b": 0}}, {"_id": 1, "a": [{"c": 2}, 3, [{}]], "d": {"e": 5}}),
        ({"_id": 1}, {"_id": 1}),
        ({"_id": 0, "a": 0}, {"d": {"e": 5}}),
        ({"d.e.f": 1}, {"_id": 1, "d": {}}),
        ({"_id": 0, "d": {"e": math.nan}}, {"d": {"e": 5}}),
    ],
)
def test_projection_leaves(projection: Value, left: Document) -> None:
    document = {"_id": 1, "a": [{"b": 1, "c": 2}, 3, [{"b": 4}]], "d": {"e": 5}}
    assert compile_projection(projection)(document) == left


@pytest.mark.parametrize(
    ("projection", "text"),
    [
        ({"a": 1, "b": 0}, "cannot keep and drop in one projection"),
        ({"a": 1, "a.b": 1}, "no 'a' beside it"),
        ({"a": "x"}, "1 to keep or 0 to drop"),
        ({"a": {}}, "1 to keep or 0 to drop"),
        ({"a": {"b.c": 1}}, "dots only at the outermost level"),
        ({"a..b": 1}, "cannot use this path in a projection"),
    ],
)
def test_wrong_projection_is_refused(projection: Value, text: str) -> None:
    with pytest.raises(QueryError, match=text):
        compile_projection(projection)
