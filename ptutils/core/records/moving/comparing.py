"""One run in two databases: which of them has more of its History, or whether both do.

History only grows: what one side has of it and the other has not tells which is ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from ptutils.core.records.shape import CHUNK, check
from ptutils.errors import DatabaseError
from ptutils.meta.codec import dumps
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["Chunks", "is_ahead"]

_BATCH: Final = 64

_Place = tuple[int, int]


class Chunks:
    """The chunks of one run's History at the source and in the target.

    Attributes:
        missing: The ids of those that the target lacks, in order.
        extra: Those that only the target has: id -> segment and index.
        different: The ids of those that are not the same on both sides.
    """

    def __init__(self, source: DBInterface, target: DBInterface, run_id: str) -> None:
        self.urls = source.url, target.url
        self.missing: list[str] = []
        self.extra: dict[str, _Place] = {}
        self.different: list[str] = []
        self.places: dict[str, _Place] = {}
        self._source = source
        self._target = target
        self._run = run_id

    def read(self, num_segments: int) -> None:
        """Compare, up to so many segments of the source's."""
        here, there = self._list(self._source), self._list(self._target)
        self.places = {
            name: place for name, place in here.items() if place[0] < num_segments
        }
        self.missing = [name for name in self.places if name not in there]
        self.extra = {name: there[name] for name in there if name not in self.places}
        self.different = list(self._differing(set(self.places).intersection(there)))

    def drop_remains(self) -> None:
        """Delete what the target has of a run that it does not have (any more)."""
        remains = [*self.extra, *self.different]
        for start in range(0, len(remains), _BATCH):
            batch = remains[start : start + _BATCH]
            self._target._delete("history", {"_id": {"$in": batch}})
        wanted = {*self.missing, *self.different}
        self.missing = [name for name in self.places if name in wanted]
        self.extra, self.different = {}, []

    def _list(self, db: DBInterface) -> dict[str, _Place]:
        shown = ["run", "path", "segment", "index"]
        found = db._find("history", {"run": self._run}, projection=shown)
        for each in found:
            check(each, CHUNK, "history")
        return {each["_id"]: (each["segment"], each["index"]) for each in found}

    def _differing(self, ids: Iterable[str]) -> Iterator[str]:
        names = sorted(ids)
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            here, there = (_texts(db, batch) for db in (self._source, self._target))
            yield from (name for name in batch if here.get(name) != there.get(name))


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
    we_go_on = starts[1][: len(starts[0])] == starts[0] and not chunks.missing
    if chunks.different or not (they_go_on or we_go_on):
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
    first = min(chunks.places.values(), default=(len(theirs["segments"]), 0))
    return max(chunks.extra.values()) >= first


def _age(document: Document) -> str:
    """Return when the run last lived, as a text that sorts; "" if it never did."""
    heartbeat = document["status"]["heartbeat"]
    return "" if heartbeat is None else str(heartbeat.isoformat())


def _texts(db: DBInterface, ids: list[str]) -> Mapping[str, str]:
    found = db._find("history", {"_id": {"$in": ids}})
    return {each["_id"]: dumps(dict(sorted(each.items()))) for each in found}


def _diverged(chunks: Chunks, run_id: str) -> DatabaseError:
    source, target = chunks.urls
    return DatabaseError(
        f"cannot copy run {run_id!r}",
        expected="a run that went on in one place",
        got=f"one that went on in {source} and, differently, in {target}",
        fix="keep one: delete it in the other, or branch it there first",
    )
