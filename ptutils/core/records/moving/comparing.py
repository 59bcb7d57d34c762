"""One run in two databases: which of them has more of its History, or whether both do.

History only grows: what one side has of it and the other has not tells which is ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final

from ptutils.core.records.pieces import Piece, batches, missing_indices, pieces_of
from ptutils.errors import DatabaseError
from ptutils.meta.codec import dumps
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["Chunks", "is_ahead"]

_MOST_NAMED: Final = 5


class Chunks:
    """The chunks of one run's History at the source and in the target.

    Attributes:
        here: Those at the source, by id, in order.
        missing: The ids of those that the target lacks, in order.
        extra: Those that only the target has, by id.
    """

    def __init__(self, source: DBInterface, target: DBInterface, run_id: str) -> None:
        self.urls = source.url, target.url
        self.here: dict[str, Piece] = {}
        self.missing: list[str] = []
        self.extra: dict[str, Piece] = {}
        self._there: dict[str, Piece] = {}
        self._source = source
        self._target = target
        self._run = run_id

    def read(self, num_segments: int) -> None:
        """List both, up to so many segments of the source's; no point is read."""
        here, there = (pieces_of(db, self._run) for db in (self._source, self._target))
        self.here = {
            name: piece for name, piece in here.items() if piece.place[0] < num_segments
        }
        self._there = there
        self.missing = [name for name in self.here if name not in there]
        self.extra = {name: there[name] for name in there if name not in self.here}

    def different(self) -> list[str]:
        """Return the ids of those that are not the same on both sides."""
        both = [name for name in self.here if name in self._there]
        return [
            name
            for batch in batches(self.here, both)
            for name in _differing(self._source, self._target, batch)
        ]

    def lost(self) -> list[str]:
        """Return the ids of those missing that the target must have had.

        A writer flushes one index after the other: it has later ones of the segment,
        or others of that very index.
        """
        last: dict[int, int] = {}
        for segment, index in (piece.place for piece in self._there.values()):
            last[segment] = max(last.get(segment, -1), index)
        own = {piece.place for piece in self.extra.values()}
        places = {name: self.here[name].place for name in self.missing}
        return [
            name
            for name, (segment, index) in places.items()
            if (segment, index) not in own and index <= last.get(segment, -1)
        ]

    def places(self) -> list[tuple[int, int]]:
        """Return segment and index of those at the source, in order."""
        return [piece.place for piece in self.here.values()]

    def gap(self, visible: Mapping[int, int | None]) -> list[str]:
        """Return some of the indices that neither side has of those that count."""
        counts = {segment: count or 0 for segment, count in visible.items()}
        both = [*self.here.values(), *self.extra.values()]
        return list(islice(missing_indices(both, counts), _MOST_NAMED))

    def drop_remains(self) -> None:
        """Delete what the target has of a run that it does not have (any more)."""
        different = self.different()
        remains = [*self.extra, *different]
        for batch in batches(self._there, remains):
            self._target._delete("history", {"_id": {"$in": batch}})
        wanted = {*self.missing, *different}
        self.missing = [name for name in self.here if name in wanted]
        self.extra = {}


def is_ahead(chunks: Chunks, theirs: Document, ours: Document) -> bool:
    """Tell whether the target has all that the source has of a run, and is not older.

    Args:
        chunks: Compared.
        theirs: The run's document at the source.
        ours: The one in the target.

    Raises:
        DatabaseError: If either has what the other has not.
    """
    starts = [[each["start"] for each in run["segments"]] for run in (theirs, ours)]
    they_go_on = starts[0][: len(starts[1])] == starts[1] and not _is_foreign(
        chunks, theirs
    )
    # What was put aside is not what its home lost: home never had it.
    lost = [] if "spilled_from" in theirs else chunks.lost()
    new = set(chunks.missing).difference(lost)
    we_go_on = starts[1][: len(starts[0])] == starts[0] and not new
    if not (they_go_on or we_go_on) or chunks.different():
        raise _diverged(chunks, theirs["_id"])
    if they_go_on and we_go_on:
        return bool(_age(ours) > _age(theirs))
    return we_go_on


def _is_foreign(chunks: Chunks, theirs: Document) -> bool:
    """Tell whether the target has chunks that cannot be the beginning of the source's.

    A run that was put aside while its database was out of reach has only the rest.
    """
    if not chunks.extra or "spilled_from" not in theirs:
        return bool(chunks.extra)
    first = min(chunks.places(), default=(len(theirs["segments"]), 0))
    return max(piece.place for piece in chunks.extra.values()) >= first


def _age(document: Document) -> str:
    """Return when the run last lived, as a text that sorts; "" if it never did."""
    heartbeat = document["status"]["heartbeat"]
    return "" if heartbeat is None else str(heartbeat.isoformat())


def _differing(source: DBInterface, target: DBInterface, ids: list[str]) -> list[str]:
    here, there = (_texts(db, ids) for db in (source, target))
    return [name for name in ids if here.get(name) != there.get(name)]


def _texts(db: DBInterface, ids: list[str]) -> Mapping[str, str]:
    found = db._find("history", {"_id": {"$in": ids}})
    return {each["_id"]: dumps(dict(sorted(each.items()))) for each in found}


def _diverged(chunks: Chunks, run_id: str) -> DatabaseError:
    source, target = chunks.urls
    return DatabaseError(
        f"cannot copy run {run_id!r}",
        expected="a run that went on in one place",
        got=f"one that went on in {source} and, differently, in {target}",
        fix=f"import it into a database that has neither: ptutils import {source} "
        f"--where 'id = {run_id}' --db NEW; or drop the one that is to go: "
        f"ptutils delete {run_id} --db {target}",
    )
