"""Sorting: one comparable key per document, from MongoDB's rules for lists.

A list sorts by its least element, or by its greatest when descending. Several paths
through one list are expanded together, element by element, as MongoDB does for the
keys of an index; two different lists in one sort are refused.

Source:
    BtreeKeyGenerator::getKeys and SortKeyGenerator of the MongoDB server.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ptutils.db.filters.order import EMPTY, MISSING, invert, key
from ptutils.db.filters.paths import Parts, field_path, position
from ptutils.errors import QueryError
from ptutils.meta.values import Document, Value

__all__ = ["Sort", "SortKey", "check_sort", "compile_sort", "ordered"]

Sort = Sequence[tuple[str, int]]
"""Pairs of a path and 1 (ascending) or -1 (descending), the first deciding first."""

SortKey = tuple[bytes, ...]


def check_sort(sort: Sort) -> dict[Parts, int]:
    """Return the direction by path, in order.

    Raises:
        QueryError: If a path or a direction is wrong.
    """
    directions: dict[Parts, int] = {}
    for pair in sort:
        if isinstance(pair, str) or len(pair) != 2 or type(pair[1]) is not int:
            raise _wrong_direction(pair)
        if pair[1] not in (1, -1):
            raise _wrong_direction(pair)
        directions[field_path(pair[0], "a sort")] = pair[1]
    return directions


def compile_sort(sort: Sort) -> Callable[[Document], SortKey]:
    """Return the function that gives each document its key in the wanted order."""
    directions = check_sort(sort)
    paths = list(directions)
    turned = [direction < 0 for direction in directions.values()]

    def comparable(values: Sequence[Value]) -> SortKey:
        return tuple(
            invert(key(value)) if is_turned else key(value)
            for value, is_turned in zip(values, turned, strict=True)
        )

    def sort_key(document: Document) -> SortKey:
        fresh: list[Value] = [MISSING] * len(paths)
        none: list[_Place | None] = [None] * len(paths)
        return min(map(comparable, _expand(fresh, list(paths), document, none)))

    return sort_key


def ordered(
    documents: Iterable[Document], sort: Sort, count: int = 0
) -> Iterator[Document]:
    """Yield documents in the wanted order; equal ones keep theirs.

    Args:
        documents: Any number.
        sort: Empty to keep the order.
        count: How many of the first are needed at most; 0 means all.
    """
    if not sort:
        return iter(documents)
    sort_key = compile_sort(sort)
    if count:
        return iter(heapq.nsmallest(count, documents, key=sort_key))
    return iter(sorted(documents, key=sort_key))


def _wrong_direction(pair: Value) -> QueryError:
    return QueryError(
        "cannot sort so",
        expected="pairs of a path and 1 (ascending) or -1 (descending)",
        got=repr(pair),
        fix="for example sort=[('created', -1)]",
    )


@dataclass(frozen=True)
class _Place:
    """What a numeric part of a path names in the list that is being entered."""

    is_list: bool
    value: Value
    rest: Parts


def _expand(
    values: list[Value],
    paths: list[Parts | None],
    document: Document,
    places: list[_Place | None],
) -> Iterator[list[Value]]:
    """Yield one row of values per element of the list that the paths go through."""
    values, paths = values[:], paths[:]
    array: list[Value] | None = None
    keeps_whole = False
    for index, parts in enumerate(paths):
        if parts is None:
            continue
        value, rest, nested = _follow(document, parts, places[index])
        values[index], paths[index] = value, None
        if type(value) is list:
            if array is not None and array is not value:
                raise _parallel(parts)
            array, paths[index] = value, rest
            keeps_whole = keeps_whole or (nested and not rest)
    if array is None:
        yield values
        return
    inner = [_place(array, parts) if parts else None for parts in paths]
    for element in array or [EMPTY]:
        final = array if keeps_whole and element is not EMPTY else element
        row = [
            final if parts == () else value
            for value, parts in zip(values, paths, strict=True)
        ]
        below = element if type(element) is dict else {}
        yield from _expand(row, [parts or None for parts in paths], below, inner)


def _follow(
    document: Document, parts: Parts, place: _Place | None
) -> tuple[Value, Parts, bool]:
    if parts[0] not in document:
        if place is None:
            return MISSING, (), False
        return place.value, place.rest, place.is_list
    if place is not None:
        raise QueryError(
            "cannot sort by a path that a list answers in two ways",
            path=".".join(parts),
            expected=f"{parts[0]!r} as a place in the list or as a key in its dicts",
            got="both",
        )
    return (*_descend(document, parts), False)


def _descend(value: Value, parts: Parts) -> tuple[Value, Parts]:
    """Follow dicts until the end of the path or the first list."""
    for index, name in enumerate(parts):
        if type(value) is list:
            return value, parts[index:]
        if type(value) is not dict or name not in value:
            return MISSING, ()
        value = value[name]
    return value, ()


def _place(array: list[Value], parts: Parts) -> _Place | None:
    offset = position(parts[0])
    if not 0 <= offset < len(array):
        return None
    element = array[offset]
    return _Place(type(element) is list, *_descend(element, parts[1:]))


def _parallel(parts: Parts) -> QueryError:
    return QueryError(
        "cannot sort by two lists at once",
        path=".".join(parts),
        fix="sort by one of the paths",
    )
