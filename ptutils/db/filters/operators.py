"""The filter operators that look at the values of one path and need no recursion.

Each builder takes an operator's operand and returns a condition on what the path
reaches, or raises QueryError where MongoDB refuses the operand.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from ptutils.db.filters.order import MISSING, is_number, key
from ptutils.db.filters.paths import Reach
from ptutils.db.filters.regex import search_of
from ptutils.errors import QueryError
from ptutils.meta.values import Value

__all__ = [
    "OPERATORS",
    "Condition",
    "equals",
    "matches_regex",
    "negate",
    "refusal",
    "some",
]

Condition = Callable[[Reach], bool]
Test = Callable[[Value], bool]

_CODE_BY_ALIAS: Final = {
    "double": 1,
    "string": 2,
    "object": 3,
    "array": 4,
    "binData": 5,
    "undefined": 6,
    "objectId": 7,
    "bool": 8,
    "date": 9,
    "null": 10,
    "regex": 11,
    "dbPointer": 12,
    "javascript": 13,
    "symbol": 14,
    "javascriptWithScope": 15,
    "int": 16,
    "timestamp": 17,
    "long": 18,
    "decimal": 19,
    "minKey": -1,
    "maxKey": 127,
}
_CODE_BY_TYPE: Final[dict[type, int]] = {
    float: 1,
    str: 2,
    dict: 3,
    list: 4,
    bytes: 5,
    bool: 8,
    datetime: 9,
    type(None): 10,
}
_NUMBERS: Final = frozenset({1, 16, 18, 19})
_INT32: Final = 1 << 31
_INT64: Final = 1 << 63


def refusal(name: str, expected: str, got: Value) -> QueryError:
    """Return the error for an operand that the operator ``name`` cannot take."""
    return QueryError(f"cannot use {name} so", expected=expected, got=repr(got))


def some(test: Test, *, traverse: bool = True) -> Condition:
    """Return the condition that any reached value passes the test."""

    def condition(reach: Reach) -> bool:
        return any(map(test, reach(traverse)))

    return condition


def negate(condition: Condition) -> Condition:
    """Return the opposite condition."""
    return lambda reach: not condition(reach)


def equals(operand: Value) -> Test:
    """Return the test that a value equals ``operand``, as MongoDB compares."""
    kind = type(operand)
    if operand is None:
        return lambda value: value is None or value is MISSING
    if kind is str:
        return lambda value: type(value) is str and bool(value == operand)
    wanted = key(operand)
    if is_number(operand):
        if math.isnan(operand):
            return lambda value: type(value) is float and math.isnan(value)
        return lambda value: is_number(value) and bool(value == operand)
    return lambda value: type(value) is kind and key(value) == wanted


def matches_regex(search: Callable[[str], object]) -> Condition:
    """Return the condition that any reached text contains what ``search`` finds."""
    return some(lambda value: type(value) is str and search(value) is not None)


def _equal(operand: Value) -> Condition:
    if isinstance(operand, re.Pattern):
        return lambda _: False  # No pattern is ever stored.
    return some(equals(operand))


def _unequal(operand: Value) -> Condition:
    if isinstance(operand, re.Pattern):
        raise refusal("$ne", "a value; for a pattern: {'$not': pattern}", operand)
    return negate(_equal(operand))


def _comparison(
    name: str, compare: Callable[[Value, Value], bool]
) -> Callable[[Value], Condition]:
    or_equal = name in ("$lte", "$gte")

    def build(operand: Value) -> Condition:
        if isinstance(operand, re.Pattern):
            raise refusal(name, "a value", operand)
        if operand is None or (is_number(operand) and math.isnan(operand)):
            # Nothing lies beside null or NaN, but they equal themselves.
            return some(equals(operand)) if or_equal else lambda _: False
        if is_number(operand):
            key(operand)
            return some(lambda value: is_number(value) and compare(value, operand))
        kind = type(operand)
        if kind is str:
            return some(lambda value: type(value) is str and compare(value, operand))
        bound = key(operand)
        return some(lambda value: type(value) is kind and compare(key(value), bound))

    return build


def _in(operand: Value) -> Condition:
    if not isinstance(operand, list):
        raise refusal("$in", "a list", operand)
    searches, keys = [], set()
    for item in operand:
        if isinstance(item, re.Pattern):
            searches.append(search_of(item))
        elif isinstance(item, dict) and next(iter(item), "").startswith("$"):
            raise refusal("$in", "values, no operators", item)
        else:
            keys.add(key(item))

    def test(value: Value) -> bool:
        if key(value) in keys:
            return True
        return type(value) is str and any(search(value) for search in searches)

    return some(test)


def _not_in(operand: Value) -> Condition:
    return negate(_in(operand))


def _exists(operand: Value) -> Condition:
    present = some(lambda value: value is not MISSING)
    # As MongoDB: every number but 0, every text and container count as true.
    wanted = operand is not None and operand is not False and operand != 0
    return present if wanted else negate(present)


def _whole(name: str, operand: Value) -> int:
    if not is_number(operand) or not math.isfinite(operand):
        raise refusal(name, "a finite number", operand)
    whole = int(operand)
    if not -_INT64 <= whole < _INT64:
        raise refusal(name, "a number of at most 64 bits", operand)
    return whole


def _size(operand: Value) -> Condition:
    size = _whole("$size", operand)
    if size != operand or size < 0:
        raise refusal("$size", "a whole number that is not negative", operand)
    return some(
        lambda value: type(value) is list and len(value) == size, traverse=False
    )


def _type_codes(operand: Value) -> frozenset[int]:
    if isinstance(operand, str):
        if operand == "number":
            return _NUMBERS
        if operand in _CODE_BY_ALIAS:
            return frozenset({_CODE_BY_ALIAS[operand]})
    elif is_number(operand) and operand in _CODE_BY_ALIAS.values():
        return frozenset({int(operand)})
    raise refusal("$type", "a BSON type: " + ", ".join(_CODE_BY_ALIAS), operand)


def _type(operand: Value) -> Condition:
    wanted = operand if isinstance(operand, list) else [operand]
    if not wanted:
        raise refusal("$type", "at least one type", operand)
    codes = frozenset().union(*map(_type_codes, wanted))
    return some(lambda value: _code_of(value) in codes)


def _code_of(value: Value) -> int:
    if type(value) is int:
        return 16 if -_INT32 <= value < _INT32 else 18
    return _CODE_BY_TYPE.get(type(value), 0)


def _mod(operand: Value) -> Condition:
    if not isinstance(operand, list) or len(operand) != 2:
        raise refusal("$mod", "[divisor, remainder]", operand)
    divisor, remainder = (_whole("$mod", number) for number in operand)
    if divisor == 0:
        raise refusal("$mod", "a divisor other than 0", operand)

    def test(value: Value) -> bool:
        if not is_number(value) or not math.isfinite(value):
            return False
        dividend = int(value)
        if not -_INT64 <= dividend < _INT64:
            return False
        rest = abs(dividend) % abs(divisor)  # The sign follows the dividend.
        return (-rest if dividend < 0 else rest) == remainder

    return some(test)


def _all_equal(operand: Value) -> Condition:
    if not isinstance(operand, list):
        raise refusal("$all", "a list", operand)
    conditions = []
    for item in operand:
        if isinstance(item, re.Pattern):
            conditions.append(matches_regex(search_of(item)))
        elif isinstance(item, dict) and next(iter(item), "").startswith("$"):
            raise refusal("$all", "values, or $elemMatch in every place", item)
        else:
            conditions.append(some(equals(item)))
    return lambda reach: bool(conditions) and all(test(reach) for test in conditions)


OPERATORS: Final[dict[str, Callable[[Value], Condition]]] = {
    "$all": _all_equal,
    "$eq": _equal,
    "$exists": _exists,
    "$gt": _comparison("$gt", operator.gt),
    "$gte": _comparison("$gte", operator.ge),
    "$in": _in,
    "$lt": _comparison("$lt", operator.lt),
    "$lte": _comparison("$lte", operator.le),
    "$mod": _mod,
    "$ne": _unequal,
    "$nin": _not_in,
    "$size": _size,
    "$type": _type,
}
"""By name; ``$not``, ``$elemMatch``, ``$regex`` and ``$options`` are in match.py."""
