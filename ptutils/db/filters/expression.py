"""``$expr``: comparisons between fields of one document, as aggregation makes them.

Other rules than a filter's hold here: all types compare, missing is less than null and
equals only itself, and a list is compared as a whole.

Source:
    ExpressionFieldPath::evaluatePath and Value::compare of the MongoDB server.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Final

from ptutils.db.filters.order import MISSING, is_number, key
from ptutils.db.filters.paths import Parts, field_path
from ptutils.errors import QueryError
from ptutils.meta.values import Document, Value

__all__ = ["compile_expression"]

Expression = Callable[[Document], Value]

_NOTHING: Final = b""


def compile_expression(operand: Value) -> Callable[[Document], bool]:
    """Compile the operand of ``$expr`` into a predicate on documents.

    Field paths (``"$a.b"``) and constants may be compared by ``$eq $ne $gt $gte $lt
    $lte`` and joined by ``$and $or $not``; ``$literal`` quotes a constant.

    Raises:
        QueryError: If it is wrong, or asks for more than that.

    Example:
        >>> compile_expression({"$gt": ["$got", "$given"]})({"got": 3, "given": 2})
        True
    """
    evaluate = _compiled(operand)
    return lambda document: _is_true(evaluate(document))


def _compiled(operand: Value) -> Expression:
    if isinstance(operand, str) and operand.startswith("$"):
        return _field(operand)
    if isinstance(operand, list):
        parts = [_compiled(part) for part in operand]
        return lambda document: [_or_null(part(document)) for part in parts]
    if isinstance(operand, dict) and operand:
        return _operation(operand)
    return _constant(operand)


def _constant(operand: Value) -> Expression:
    key(operand)  # Plain values only.
    return lambda _: operand


def _field(text: str) -> Expression:
    if text.startswith("$$"):
        raise _refused(text, "a field path such as '$a.b'")
    parts = field_path(text[1:], "$expr")
    return lambda document: _reached(document, parts)


def _reached(document: Document, parts: Parts) -> Value:
    value = document.get(parts[0], MISSING)
    rest = parts[1:]
    if not rest:
        return value
    if type(value) is dict:
        return _reached(value, rest)
    if type(value) is list:
        below = [_reached(each, rest) for each in value if type(each) is dict]
        return [each for each in below if each is not MISSING]
    return MISSING


def _operation(operand: Document) -> Expression:
    name, argument = next(iter(operand.items()))
    if len(operand) > 1 or name not in _OPERATIONS:
        raise _refused(operand, "one of " + ", ".join(_OPERATIONS))
    return _OPERATIONS[name](name, argument)


def _arguments(name: str, argument: Value, count: int) -> list[Expression]:
    given = argument if isinstance(argument, list) else [argument]
    if count and len(given) != count:
        raise _refused({name: argument}, f"{count} operands under {name}")
    return [_compiled(each) for each in given]


def _comparison(
    compare: Callable[[bytes, bytes], bool], name: str, argument: Value
) -> Expression:
    left, right = _arguments(name, argument, 2)
    return lambda document: compare(_rank(left(document)), _rank(right(document)))


def _and(name: str, argument: Value) -> Expression:
    parts = _arguments(name, argument, 0)
    return lambda document: all(_is_true(part(document)) for part in parts)


def _or(name: str, argument: Value) -> Expression:
    parts = _arguments(name, argument, 0)
    return lambda document: any(_is_true(part(document)) for part in parts)


def _not(name: str, argument: Value) -> Expression:
    (part,) = _arguments(name, argument, 1)
    return lambda document: not _is_true(part(document))


def _literal(_: str, argument: Value) -> Expression:
    return _constant(argument)


def _rank(value: Value) -> bytes:
    return _NOTHING if value is MISSING else key(value)


def _or_null(value: Value) -> Value:
    return None if value is MISSING else value


def _is_true(value: Value) -> bool:
    """As MongoDB: every text and container counts as true, and so does NaN."""
    if value is MISSING or value is None:
        return False
    return bool(value) if type(value) is bool or is_number(value) else True


def _refused(got: Value, expected: str) -> QueryError:
    return QueryError(
        "cannot use $expr so",
        expected=expected,
        got=repr(got),
        fix="compare fields and constants here, quote others with $literal, and test "
        "single fields outside of it: {'a': {'$in': [1, 2]}}",
    )


_OPERATIONS: Final[dict[str, Callable[[str, Value], Expression]]] = {
    "$and": _and,
    "$eq": partial(_comparison, operator.eq),
    "$gt": partial(_comparison, operator.gt),
    "$gte": partial(_comparison, operator.ge),
    "$literal": _literal,
    "$lt": partial(_comparison, operator.lt),
    "$lte": partial(_comparison, operator.le),
    "$ne": partial(_comparison, operator.ne),
    "$not": _not,
    "$or": _or,
}
