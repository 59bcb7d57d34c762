"""A query that was checked, and how it is put to the server or answered here."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

from ptutils.db.filters.match import Predicate, compile_filter
from ptutils.db.filters.project import Projection, compile_projection
from ptutils.db.filters.sort import Sort, check_sort, ordered
from ptutils.db.mongo.marks import MARK, PLACE, check_paths, place_of
from ptutils.db.writing import check_window
from ptutils.meta.values import Document

__all__ = ["Question", "is_pinned"]

_SCALARS = (str, int, float, bool)


def is_pinned(filter: Document) -> bool:
    """Return whether a filter names the ``_id``, and so finds at most one document."""
    return type(filter.get("_id")) in _SCALARS


@dataclass(frozen=True, kw_only=True)
class Question:
    """What ``find`` is asked.

    Attributes:
        filter: Of MongoDB.
        sort: Pairs of a path and a direction, without duplicates.
        limit: 0 for all.
        skip: How many to leave out.
        shown: What the server is to return; None for whole documents.
        matches: The filter as a predicate.
        project: The projection as a function.
    """

    filter: Document
    sort: list[tuple[str, int]]
    limit: int
    skip: int
    shown: Document | None
    matches: Predicate
    project: Callable[[Document], Document]

    @classmethod
    def checked(
        cls,
        filter: Document,
        sort: Sort = (),
        limit: int = 0,
        skip: int = 0,
        projection: Projection = None,
    ) -> Question:
        """Refuse what any backend refuses.

        Raises:
            QueryError: If an argument is wrong.
        """
        check_window(limit, skip)
        directions = check_sort(sort)
        project = compile_projection(projection)
        matches = compile_filter(filter)
        check_paths(filter, sort, projection)
        # A server that projects first forgets the places in lists that it sorts by.
        has_places = any(part.isdigit() for parts in directions for part in parts)
        return cls(
            filter=filter,
            sort=[(".".join(parts), turn) for parts, turn in directions.items()],
            limit=limit,
            skip=skip,
            shown=None if has_places else _shown(projection),
            matches=matches,
            project=project,
        )

    @property
    def order(self) -> list[tuple[str, int]]:
        """The sort, and the order of insertion where it leaves one open."""
        if any(path == "_id" for path, _ in self.sort):
            return self.sort
        return [*self.sort, (PLACE, 1)]

    @property
    def count(self) -> int:
        """How many of the first are needed, 0 for all."""
        return self.limit and self.skip + self.limit

    def sorted_here(self, candidates: Iterable[Document]) -> list[Document]:
        """Return what matches, in order and within the window, marks included."""
        in_place = sorted(candidates, key=place_of)
        marks = {id(each): each.pop(MARK, None) for each in in_place}
        found = ordered(builtins.filter(self.matches, in_place), self.sort, self.count)
        window = list(islice(found, self.skip, self.count or None))
        return [
            each if marks[id(each)] is None else {**each, MARK: marks[id(each)]}
            for each in window
        ]


def _shown(projection: Projection) -> Document | None:
    """Return a projection for the server, which shows the mark as well."""
    if not projection:
        return None
    if not isinstance(projection, dict):
        projection = dict.fromkeys(projection, 1)
    return {**projection, MARK: 1} if _keeps(projection) else dict(projection)


def _keeps(projection: Document) -> bool:
    flags = [flag for name, flag in projection.items() if name != "_id"]
    while flags and isinstance(flags[0], dict):
        flags = list(flags[0].values())
    return bool(flags[0]) if flags else bool(projection["_id"])
