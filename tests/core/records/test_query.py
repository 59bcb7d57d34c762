"""The short text form of queries compiles to the filter that it stands for."""

from __future__ import annotations

import contextlib
import operator
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptutils.core.records.query import parse_query
from ptutils.errors import QueryError

NOW = datetime(2026, 11, 21, 12, 30, 15, 123456, tzinfo=UTC)
DAY = datetime(2026, 11, 1, tzinfo=UTC)
_EXISTS = {"b": {"$exists": True}}
IN_DAY = {"$gte": DAY, "$lte": DAY + timedelta(days=1, milliseconds=-1)}


def test_empty_query_finds_everything() -> None:
    assert parse_query("  ") == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr < 0.1", {"lr": {"$lt": 0.1}}),
        ("lr<=1e-3", {"lr": {"$lte": 0.001}}),
        ("a.b > -5", {"a.b": {"$gt": -5}}),
        ("a >= 2", {"a": {"$gte": 2}}),
        ("a = 1", {"a": 1}),
        ("a == 'x y'", {"a": "x y"}),
        ("a != null", {"a": {"$ne": None}}),
        ("a = True", {"a": True}),
        ("a = false", {"a": False}),
        ("a = digits", {"a": "digits"}),
        ("a = '1'", {"a": "1"}),
        ("a = [1, [x], 'y']", {"a": [1, ["x"], "y"]}),
        ("a = []", {"a": []}),
        ('"my key.b" = 1', {"my key.b": 1}),
    ],
)
def test_comparison_compiles(text: str, expected: dict[str, Any]) -> None:
    assert parse_query(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a in [1, 2]", {"a": {"$in": [1, 2]}}),
        ("a not in [1]", {"a": {"$nin": [1]}}),
        ("a has 'x'", {"a": {"$elemMatch": {"$eq": "x"}}}),
        ("a not has 'x'", {"a": {"$not": {"$elemMatch": {"$eq": "x"}}}}),
        ("a exists", {"a": {"$exists": True}}),
        ("a not exists", {"a": {"$exists": False}}),
        (r"a ~ '^d\d+'", {"a": {"$regex": r"^d\d+"}}),
        ("a ~ resnet", {"a": {"$regex": "resnet"}}),
        ("a not ~ resnet", {"a": {"$not": {"$regex": "resnet"}}}),
        ("a IN [1] AND NOT b EXISTS", {"a": {"$in": [1]}, "$nor": [_EXISTS]}),
    ],
)
def test_word_operator_compiles(text: str, expected: dict[str, Any]) -> None:
    assert parse_query(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1 and b = 2", {"a": 1, "b": 2}),
        ("a > 1 and a < 5", {"$and": [{"a": {"$gt": 1}}, {"a": {"$lt": 5}}]}),
        ("a = 1 or b = 2 and c = 3", {"$or": [{"a": 1}, {"b": 2, "c": 3}]}),
        ("(a = 1 or b = 2) and c = 3", {"$or": [{"a": 1}, {"b": 2}], "c": 3}),
        ("not a = 1 and b = 2", {"$nor": [{"a": 1}], "b": 2}),
        ("not (a = 1 or b = 2)", {"$nor": [{"$or": [{"a": 1}, {"b": 2}]}]}),
    ],
)
def test_connectives_bind_as_in_python(text: str, expected: dict[str, Any]) -> None:
    assert parse_query(text) == expected


def test_lists_comparisons_and_metrics_go_together_in_one_query() -> None:
    query = (
        "config.trainer.model.optimizer.lr < 0.1 and (tags has 'best' or "
        "summary.valid.accuracy.max > 0.9) and status.phase in ['completed','lost']"
    )
    assert parse_query(query) == {
        "config.trainer.model.optimizer.lr": {"$lt": 0.1},
        "$or": [
            {"tags": {"$elemMatch": {"$eq": "best"}}},
            {"summary.valid.accuracy.max": {"$gt": 0.9}},
        ],
        "status.phase": {"$in": ["completed", "lost"]},
    }


def test_last_day_of_the_calendar_is_a_day() -> None:
    last = datetime(9999, 12, 31, tzinfo=UTC)
    query = parse_query("created = '9999-12-31'")
    assert query["created"]["$gte"] == last


def test_what_may_follow_not_is_told() -> None:
    with pytest.raises(QueryError, match="cannot read the query") as wrong:
        parse_query("a not = 3")
    assert wrong.value.expected == "one of ~ in has exists"


def test_quoted_words_are_values_and_not_operators() -> None:
    assert parse_query("a = 'and' and b = 'not'") == {"a": "and", "b": "not"}


def test_quotes_inside_a_text_are_escaped_by_a_backslash() -> None:
    assert parse_query(r"a = 'it\'s' and b = " r'"\\n"') == {"a": "it's", "b": r"\n"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("created > '2026-11-01'", {"created": {"$gt": DAY}}),
        (
            "status.heartbeat < '2026-11-01T01:00+01:00'",
            {"status.heartbeat": {"$lt": DAY}},
        ),
        (
            "created > '7 days ago'",
            {"created": {"$gt": datetime(2026, 11, 14, 12, 30, 15, 123000, UTC)}},
        ),
        ("created = '2026-11-01'", {"created": IN_DAY}),
        ("created = 2026-11-01", {"created": IN_DAY}),
        ("created != '2026-11-01'", {"created": {"$not": IN_DAY}}),
        ("created = '2026-11-01 00:00'", {"created": DAY}),
        ("created in ['2026-11-01', null]", {"created": {"$in": [DAY, None]}}),
    ],
)
def test_dates_become_moments(text: str, expected: dict[str, Any]) -> None:
    assert parse_query(text, now=NOW) == expected


def test_ago_counts_from_the_clock() -> None:
    moment = parse_query("created > '1 hour ago'")["created"]["$gt"]

    assert datetime.now(UTC) - moment < timedelta(hours=1, minutes=1)


def test_setting_named_like_a_moment_stays_text() -> None:
    assert parse_query("config.created = '2026-11-01'") == {
        "config.created": "2026-11-01"
    }


@pytest.mark.parametrize(
    ("text", "column", "expected", "got"),
    [
        ("lr < < 0.1", 5, "a value", "'<'"),
        ("lr <", 4, "a value", "the end"),
        ("lr", 2, "one of < <= > >= = == != ~ in has exists not", "the end"),
        ("lr hass 1", 3, "one of < <=", "'hass'"),
        ("lr in 3", 6, "a list", "'3'"),
        ("lr = [1 2]", 8, "',' or ']'", "'2'"),
        ("lr = [1, ", 8, "a value", "the end"),
        ("(lr = 1", 7, "')'", "the end"),
        ("lr = 1 )", 7, "'and', 'or' or the end", "')'"),
        ("= 1", 0, "a path", "'='"),
        ("and = 1", 0, "a path", "'and'"),
        ("lr ! 1", 3, "a path, an operator or a value", "'!'"),
        ("lr = 'abc", 5, "a closing ' for this one", '"\'"'),
        ("lr ~ 'a('", 5, "a regular expression (missing )", "\"'a('\""),
        ("lr ~ [1]", 5, "a regular expression in quotes", "'['"),
        ("created > yesterday", 10, "a date such as '2026-11-01'", "'yesterday'"),
        ("created > '99999-01-01'", 10, "a date", "'99999-01-01'"),
        ("created > '0001-01-01T00:00+09:00'", 10, "a date", "0001-01-01"),
    ],
)
def test_error_points_at_the_place(
    text: str, column: int, expected: str, got: str
) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(text)

    place = f"cannot read the query\n    {text}\n    {' ' * column}^\n"
    assert str(caught.value).startswith(place)
    assert caught.value.expected.startswith(expected)
    assert got in caught.value.got


@pytest.mark.parametrize(
    ("text", "near"),
    [("lr hass 1", "has"), ("lr exist", "exists"), ("a = 1 andd b = 2", "and")],
)
def test_error_suggests_the_nearest_operator(text: str, near: str) -> None:
    with pytest.raises(QueryError, match=re.escape(f"did you mean '{near}'?")):
        parse_query(text)


def test_endless_nesting_is_refused() -> None:
    with pytest.raises(QueryError, match="nested too deeply"):
        parse_query("(" * 5000)


# Expressions as nested tuples, their text, and what they mean for a flat document.
PATHS = st.sampled_from(["a", "b.c", "d_1"])
VALUES = st.one_of(
    st.integers(-3, 3), st.sampled_from([0.5, -1.5]), st.sampled_from("xyz")
)
COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
TESTS = st.one_of(
    st.tuples(st.sampled_from(sorted(COMPARISONS)), PATHS, VALUES),
    st.tuples(st.sampled_from(["in", "not in"]), PATHS, st.lists(VALUES, max_size=3)),
    st.tuples(st.sampled_from(["exists", "not exists"]), PATHS),
)
EXPRESSIONS = st.recursive(
    TESTS,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(PATHS, VALUES)
ABSENT = object()


def render(expression: tuple[Any, ...]) -> str:
    head, *rest = expression
    if head == "not":
        return f"not ({render(rest[0])})"
    if head in ("and", "or"):
        return f"({render(rest[0])}) {head} ({render(rest[1])})"
    return " ".join([rest[0], head, *(repr(value) for value in rest[1:])])


def means(expression: tuple[Any, ...], document: dict[str, Any]) -> bool:
    head, *rest = expression
    if head == "not":
        return not means(rest[0], document)
    if head in ("and", "or"):
        sides = [means(side, document) for side in rest]
        return all(sides) if head == "and" else any(sides)
    value = document.get(rest[0], ABSENT)
    if head.endswith("exists"):
        return (value is ABSENT) == head.startswith("not")
    if head.endswith("in"):
        return (value in rest[1]) != head.startswith("not")
    return compares(head, value, rest[1])


def compares(sign: str, value: Any, bound: Any) -> bool:
    if sign in ("=", "!="):
        return bool(COMPARISONS[sign](value, bound))
    # As in MongoDB, a bound matches only values of its own type.
    if isinstance(value, str) != isinstance(bound, str) or value is ABSENT:
        return False
    return bool(COMPARISONS[sign](value, bound))


def matches(query: dict[str, Any], document: dict[str, Any]) -> bool:
    return all(holds(key, wanted, document) for key, wanted in query.items())


def holds(key: str, wanted: Any, document: dict[str, Any]) -> bool:
    if key in ("$and", "$or", "$nor"):
        found = [matches(part, document) for part in wanted]
        return {"$and": all(found), "$or": any(found), "$nor": not any(found)}[key]
    value = document.get(key, ABSENT)
    if not isinstance(wanted, dict):
        return bool(value == wanted)
    ((name, bound),) = wanted.items()
    if name == "$exists":
        return (value is not ABSENT) == bound
    if name in ("$in", "$nin"):
        return (value in bound) == (name == "$in")
    signs = {"$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">=", "$ne": "!="}
    return compares(signs[name], value, bound)


@given(EXPRESSIONS, DOCUMENTS)
def test_filter_means_what_the_text_says(
    expression: tuple[Any, ...], document: dict[str, Any]
) -> None:
    query = parse_query(render(expression))

    assert matches(query, document) == means(expression, document)


@given(st.text(max_size=30))
def test_any_text_gives_a_filter_or_a_query_error(text: str) -> None:
    with contextlib.suppress(QueryError):
        assert isinstance(parse_query(text), dict)


def test_id_is_the_id_of_a_run() -> None:
    assert parse_query("id = 0a or not id in [0b]") == {
        "$or": [{"_id": "0a"}, {"$nor": [{"_id": {"$in": ["0b"]}}]}]
    }
    assert parse_query("config.id = 1") == {"config.id": 1}


@pytest.mark.parametrize("path", ["$where", "'$or'", "''"])
def test_what_no_path_can_be_is_pointed_at(path: str) -> None:
    with pytest.raises(QueryError, match="a path such as config") as wrong:
        parse_query(f"a = 1 and {path} = 1")
    assert wrong.value.what.endswith("\n" + " " * 14 + "^")


@pytest.mark.parametrize(("value", "fix"), [(3, ""), ({"a": 1}, "give a filter")])
def test_query_that_is_no_text_is_refused(value: Any, fix: str) -> None:
    with pytest.raises(QueryError, match="a text such as 'config") as wrong:
        parse_query(value)
    assert fix in wrong.value.fix
