"""Pieces of a run's History: listed without their points, and read so many at a time.

Each flush writes the next index of its segment, one document per path, or several where
it holds very many points. So it can be told which are missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ptutils.core.records.shape import CHUNK, check
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["Piece", "batches", "missing_indices", "missing_parts", "pieces_of"]

_MOST_PIECES: Final = 64
_MOST_POINTS: Final = 1 << 20
"""In one batch, some 24 MiB; a document holds fewer."""

_LISTED: Final = ("run", "path", "segment", "index", "part", "count")


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A document of the collection ``history``, but for its points.

    Attributes:
        path: The metric's.
        place: Segment and index.
        part: Which of several, where one flush held very many points.
        num_points: How many it says it has.
    """

    path: str
    place: tuple[int, int]
    part: int
    num_points: int


def pieces_of(db: DBInterface, run_id: str) -> dict[str, Piece]:
    """Return the pieces of a run's History by id, in the order of their points.

    Raises:
        CorruptError: If one is none of ours.
    """
    found = db._find("history", {"run": run_id}, projection=list(_LISTED))
    for each in found:
        check(each, CHUNK, "history")
    pieces = {each["_id"]: _piece(each) for each in found}
    return dict(sorted(pieces.items(), key=lambda item: (item[1].place, item[1].part)))


def batches(pieces: Mapping[str, Piece], ids: Iterable[str]) -> Iterator[list[str]]:
    """Yield ids, so many at a time that the pieces are held in memory at once."""
    batch: list[str] = []
    num_points = 0
    for name in ids:
        num_points += pieces[name].num_points
        if batch and (len(batch) == _MOST_PIECES or num_points > _MOST_POINTS):
            yield batch
            batch, num_points = [], pieces[name].num_points
        batch.append(name)
    if batch:
        yield batch


def missing_indices(
    pieces: Iterable[Piece], counts: Mapping[int, int]
) -> Iterator[str]:
    """Yield which indices are not there: ``SEGMENT.INDEX``.

    Args:
        pieces: Those that are there.
        counts: How many indices each segment should have.
    """
    there = {piece.place for piece in pieces}
    for segment, count in sorted(counts.items()):
        for index in range(count):
            if (segment, index) not in there:
                yield f"{segment}.{index}"


def missing_parts(pieces: Iterable[Piece]) -> Iterator[str]:
    """Yield those of which a part is not there though a later one is."""
    parts: defaultdict[tuple[int, int, str], set[int]] = defaultdict(set)
    for piece in pieces:
        parts[*piece.place, piece.path].add(piece.part)
    for (segment, index, path), there in sorted(parts.items()):
        if len(there) <= max(there):
            yield f"{segment}.{index} of {path}"


def _piece(document: Document) -> Piece:
    count = document.get("count")
    return Piece(
        path=document["path"],
        place=(document["segment"], document["index"]),
        part=document.get("part", 0),
        num_points=count if type(count) is int and count > 0 else _MOST_POINTS,
    )
