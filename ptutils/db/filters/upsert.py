"""The document that an upsert starts from: what its filter says must be equal."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator

from ptutils.db.filters.match import is_expression
from ptutils.db.filters.order import key
from ptutils.db.filters.paths import PATH_ORDER, Parts, colliding, field_path
from ptutils.errors import QueryError
from ptutils.meta.values import Document, Value

__all__ = ["seed"]


def seed(filter: Document) -> Document:
    """Return the smallest document that the equalities of ``filter`` describe.

    Raises:
        QueryError: If the filter names one path twice.
    """
    values: dict[Parts, Value] = {}
    for path, value in _equalities(filter):
        parts = field_path(path, "an upsert")
        if colliding(parts, values) is not None:
            raise QueryError(
                "cannot insert what this filter describes",
                path=path,
                expected="every path once",
                fix="give the values in the update instead",
            )
        values[parts] = value
    document: Document = {}
    for parts in sorted(values, key=PATH_ORDER):
        branch = document
        for name in parts[:-1]:
            branch = branch.setdefault(name, {})
        branch[parts[-1]] = copy.deepcopy(values[parts])
    return document


def _equalities(filter: Document) -> Iterator[tuple[str, Value]]:
    for name, operand in filter.items():
        if name == "$and" or (name == "$or" and len(operand) == 1):
            for part in operand:
                yield from _equalities(part)
        elif not name.startswith("$"):
            for value in _values(operand):
                yield name, value


def _values(operand: Value) -> Iterator[Value]:
    if isinstance(operand, re.Pattern):
        return
    if not is_expression(operand):
        yield operand
        return
    for name, value in operand.items():
        if name == "$eq":
            yield value
        elif name == "$all":
            yield from _members(value)
        elif name == "$in" and not any(isinstance(item, re.Pattern) for item in value):
            distinct = {key(item): item for item in reversed(value)}
            if len(distinct) == 1:
                yield from distinct.values()


def _members(values: list[Value]) -> Iterator[Value]:
    if not values:
        raise QueryError("cannot insert what matches nothing", got="{'$all': []}")
    for value in values:
        if not isinstance(value, re.Pattern) and not is_expression(value):
            yield value
