"""Dotted paths through dicts and lists, as MongoDB follows them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ptutils.db.filters.order import MISSING
from ptutils.errors import QueryError
from ptutils.meta.values import Document, Value

__all__ = [
    "PATH_ORDER",
    "Parts",
    "Reach",
    "as_document",
    "colliding",
    "field_path",
    "leaf",
    "position",
    "walk",
]

Parts = tuple[str, ...]
"""A path without its dots."""

Reach = Callable[[bool], Iterable[Value]]
"""Yields what a path leads to; asked with True, a final list yields its elements and
then itself, asked with False only itself."""


def field_path(path: Value, what: str) -> Parts:
    """Split a path of a sort, projection or update.

    Raises:
        QueryError: If the path is not text, or a part is empty or starts with ``$``.
    """
    parts = tuple(path.split(".")) if isinstance(path, str) else ("",)
    if any(not part or part.startswith("$") for part in parts):
        raise QueryError(
            f"cannot use this path in {what}",
            expected="names joined by dots, none empty or starting with '$'",
            got=repr(path),
        )
    return parts


def colliding(path: Parts, others: Iterable[Parts]) -> Parts | None:
    """Return the first of ``others`` that is ``path``, above it or below it."""
    for other in others:
        shared = min(len(path), len(other))
        if path[:shared] == other[:shared]:
            return other
    return None


def _compare(one: Parts, two: Parts) -> int:
    for left, right in zip(one, two, strict=False):
        if left != right:
            if left.isdigit() and right.isdigit() and int(left) != int(right):
                return -1 if int(left) < int(right) else 1
            return -1 if left < right else 1
    return 0


PATH_ORDER: Final = functools.cmp_to_key(_compare)
"""The order in which MongoDB applies changes, and so adds new names."""


def position(name: str) -> int:
    """Return the list index that a path's component names, or -1 if it names none."""
    is_index = name.isascii() and name.isdigit() and (name == "0" or name[0] != "0")
    return int(name) if is_index else -1


def walk(document: Value, parts: Parts, traverse: bool) -> Iterable[Value]:
    """Return all values at the path ``parts``; MISSING where a dict ends too early.

    A list in the middle of the path is entered: each dict in it is followed, and a
    numeric component names one element as well.
    """
    value = document
    for index, name in enumerate(parts):
        if type(value) is dict:
            value = value.get(name, MISSING)
        elif type(value) is list:
            return _through(value, parts[index:], traverse)
        else:
            return (MISSING,)
    return leaf(value, traverse)


def leaf(value: Value, traverse: bool) -> Iterable[Value]:
    """Return what a path that ends at ``value`` yields."""
    if traverse and type(value) is list:
        return (*value, value)
    return (value,)


def as_document(value: Value) -> Document:
    """Return a list as the dict of its indices, which is what it is in BSON."""
    if type(value) is list:
        return {str(index): element for index, element in enumerate(value)}
    document: Document = value
    return document


def _through(array: list[Value], parts: Parts, traverse: bool) -> Iterator[Value]:
    offset = position(parts[0])
    for index, element in enumerate(array):
        if type(element) is dict:
            yield from walk(element, parts, traverse)
        if index == offset:
            yield from _at(element, parts[1:], traverse)


def _at(element: Value, parts: Parts, traverse: bool) -> Iterable[Value]:
    if not parts:
        return (element,)  # An element named by its place is not entered.
    if type(element) is dict:
        return walk(element, parts, traverse)
    if type(element) is list:
        return _through(element, parts, traverse)
    return ()
