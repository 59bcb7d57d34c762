"""Filters: a MongoDB filter document compiled once into a predicate on documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from ptutils.db.filters.expression import compile_expression
from ptutils.db.filters.operators import (
    OPERATORS,
    Condition,
    equals,
    matches_regex,
    negate,
    refusal,
    some,
)
from ptutils.db.filters.paths import as_document, leaf, walk
from ptutils.db.filters.regex import compile_regex, search_of
from ptutils.errors import QueryError, nearest
from ptutils.meta.values import Document, Value

__all__ = ["LOGICAL", "Predicate", "compile_filter", "element_test", "is_expression"]

Predicate = Callable[[Document], bool]

LOGICAL: Final = ("$and", "$nor", "$or")
_FIELD: Final = (*sorted(OPERATORS), "$elemMatch", "$not", "$options", "$regex")


def compile_filter(filter: Document) -> Predicate:
    """Compile a filter document; the predicate says whether a document matches.

    Args:
        filter: Plain values, operators, and compiled patterns of ``re``.

    Raises:
        QueryError: Wherever MongoDB would refuse the filter.

    Example:
        >>> matches = compile_filter({"lr": {"$lt": 0.1}, "tags": "good"})
        >>> matches({"lr": 0.01, "tags": ["good", "new"]})
        True
    """
    try:
        return _compiled(filter, _top_entry)
    except RecursionError as error:
        raise refusal("this filter", "fewer levels", type(filter)) from error


def is_expression(operand: Value) -> bool:
    """Return whether the operand is a dict of operators, not a value to equal."""
    if not isinstance(operand, dict):
        return False
    name = next(iter(operand), "")
    return isinstance(name, str) and name.startswith("$")


def element_test(expression: Document) -> Callable[[Value], bool]:
    """Compile operators into a test of a list's element, as ``$pull`` applies them."""
    condition = _conditions(expression)
    return lambda element: condition(partial(leaf, element))


def _compiled(filter: Value, entry: Callable[[Value, Value], Predicate]) -> Predicate:
    if not isinstance(filter, dict):
        raise refusal("this filter", "a dict", filter)
    predicates = [entry(name, operand) for name, operand in filter.items()]
    if len(predicates) == 1:
        return predicates[0]
    return partial(_every, predicates)


def _every(predicates: Sequence[Predicate], document: Document) -> bool:
    return all(predicate(document) for predicate in predicates)


def _top_entry(name: Value, operand: Value) -> Predicate:
    """Compile what may stand in a filter of whole documents."""
    if name == "$expr":
        return compile_expression(operand)
    if name in LOGICAL:
        return _logical(name, operand, _top_entry)
    return _entry(name, operand)


def _entry(name: Value, operand: Value) -> Predicate:
    if not isinstance(name, str):
        raise refusal("this filter", "paths that are text", name)
    if name in LOGICAL:
        return _logical(name, operand, _entry)
    if name == "$expr":
        raise refusal(name, "a place at the top, outside of $elemMatch", operand)
    if name.startswith("$"):
        raise _unknown(name, ("$expr", *LOGICAL))
    parts = tuple(name.split("."))
    condition = _condition(operand)
    return lambda document: condition(partial(walk, document, parts))


def _logical(
    name: str, operand: Value, entry: Callable[[Value, Value], Predicate]
) -> Predicate:
    if not isinstance(operand, list) or not operand:
        raise refusal(name, "a list of at least one filter", operand)
    predicates = [_compiled(part, entry) for part in operand]
    if name == "$and":
        return partial(_every, predicates)
    if name == "$or":
        return lambda document: any(matches(document) for matches in predicates)
    return lambda document: not any(matches(document) for matches in predicates)


def _condition(operand: Value) -> Condition:
    if isinstance(operand, re.Pattern):
        return matches_regex(search_of(operand))
    if is_expression(operand):
        return _conditions(operand)
    return some(equals(operand))


def _conditions(expression: Document) -> Condition:
    conditions = [_operator(name, expression) for name in expression]
    if len(conditions) == 1:
        return conditions[0]
    return lambda reach: all(condition(reach) for condition in conditions)


def _operator(name: str, expression: Document) -> Condition:
    operand = expression[name]
    if name == "$regex":
        return _regex(operand, expression.get("$options"))
    if name == "$options":
        if "$regex" not in expression:
            raise refusal("$options", "a $regex beside it", expression)
        return lambda _: True
    if name == "$not":
        return _not(operand)
    if name == "$elemMatch":
        return _element_match(operand)
    if name == "$all" and _is_all_of_element_matches(operand):
        return _all_element_matches(operand)
    if name not in OPERATORS:
        raise _unknown(name, _FIELD)
    return OPERATORS[name](operand)


def _unknown(name: str, known: Sequence[str]) -> QueryError:
    close = nearest(name, known) or nearest(name, (*_FIELD, *LOGICAL))
    return QueryError(
        f"unknown operator {name!r}",
        expected="one of " + ", ".join(known),
        got=repr(name),
        fix=f"did you mean {close!r}?" if close else "",
    )


def _regex(pattern: Value, options: Value) -> Condition:
    if isinstance(pattern, re.Pattern):
        if options is not None:
            raise refusal("$options", "flags in the pattern or $options", options)
        return matches_regex(search_of(pattern))
    return matches_regex(compile_regex(pattern, "" if options is None else options))


def _not(operand: Value) -> Condition:
    if isinstance(operand, re.Pattern):
        return negate(matches_regex(search_of(operand)))
    if not isinstance(operand, dict) or not operand:
        raise refusal("$not", "operators or a pattern", operand)
    return negate(_conditions(operand))


def _element_match(operand: Value) -> Condition:
    if not isinstance(operand, dict):
        raise refusal("$elemMatch", "a dict", operand)
    if is_expression(operand) and next(iter(operand)) not in LOGICAL:
        condition = _conditions(operand)
        # Each element stands for itself: a list within the list is not entered.
        test = partial(_holds, condition)
    else:
        matches = _compiled(operand, _entry)
        test = partial(_matches_container, matches)
    return some(
        lambda value: type(value) is list and any(map(test, value)), traverse=False
    )


def _holds(condition: Condition, element: Value) -> bool:
    return condition(lambda _: (element,))


def _matches_container(matches: Predicate, element: Value) -> bool:
    return type(element) in (dict, list) and matches(as_document(element))


def _is_all_of_element_matches(operand: Value) -> bool:
    first = operand[0] if isinstance(operand, list) and operand else None
    return isinstance(first, dict) and next(iter(first), "") == "$elemMatch"


def _all_element_matches(operand: list[Value]) -> Condition:
    conditions = []
    for item in operand:
        if not isinstance(item, dict) or list(item) != ["$elemMatch"]:
            raise refusal("$all", "$elemMatch in every place, or in none", item)
        conditions.append(_element_match(item["$elemMatch"]))
    return lambda reach: all(condition(reach) for condition in conditions)
