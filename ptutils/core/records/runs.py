"""Runs: the runs of a database as a collection that answers queries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

from ptutils.core.catalogue import find
from ptutils.core.records.document import plain_filter
from ptutils.core.records.identity import is_expired, now
from ptutils.core.records.query import parse_query
from ptutils.core.records.run import Run
from ptutils.errors import DatabaseError, NotFoundError, QueryError
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["Found", "Runs"]

_ALIVE = {"status.phase": {"$in": ["running", "paused"]}}


class Runs:
    """The collection ``runs`` of one database."""

    def __init__(self, db: DBInterface) -> None:
        self._db = db

    def find(
        self,
        filter: Document | None = None,
        *,
        sort: Sequence[tuple[str, int]] = (("_id", 1),),
        limit: int = 0,
        skip: int = 0,
    ) -> Found:
        """Return the runs that match a MongoDB filter, oldest first by default.

        Runs whose process is gone read as ``lost``: they are marked before the search.

        Args:
            filter: A MongoDB filter document over the fields of a run.
            sort: Pairs of dotted path and 1 or -1.
            limit: How many at most; 0 means all.
            skip: How many to leave out first.

        Raises:
            QueryError: If the filter or sort is wrong.
        """
        source = self._truthful()
        documents = source._find(
            "runs", plain_filter(filter or {}), sort=list(sort), limit=limit, skip=skip
        )
        return Found([Run(self._db, document) for document in documents])

    def where(self, text: str, *, limit: int = 0) -> Found:
        """Return the runs that match a query in words.

        Example: ``"config.trainer.model.optimizer.lr < 0.1 and tags has best"``.

        Raises:
            QueryError: If the text is wrong; the message points at the place.
        """
        return self.find(parse_query(text), limit=limit)

    def get(self, prefix: str) -> Run:
        """Return the run whose id starts with ``prefix``, or else ends with it.

        Ids begin with the time, so that those of one day begin alike; their last
        letters tell them apart.

        Raises:
            NotFoundError: If there is none.
            QueryError: If there are several; the message lists them.
        """
        # The last characters of the range: every id that starts so lies below them.
        bounds = {"$gte": prefix, "$lt": prefix + "\U0010ffff"}
        found = self.find({"_id": bounds}, limit=6)
        if not found and prefix.isalnum():
            found = self.find({"_id": {"$regex": f"{prefix}$"}}, limit=6)
        if not found:
            raise NotFoundError(
                f"no run {prefix!r} in {self._db.url}",
                expected="the id of a run, or its first or last letters",
                got=repr(prefix),
                fix="list the runs with: ptutils ls",
            )
        if len(found) > 1:
            raise QueryError(
                f"several runs start or end with {prefix!r}",
                expected="enough letters for one",
                got=", ".join(run.id for run in found),
                fix="give more letters",
            )
        return found[0]

    def _truthful(self) -> DBInterface:
        """Mark the runs that nobody writes any more as lost; return where to look.

        That is the database itself, or a copy of its runs where it cannot be written.
        """
        living = self._db._find("runs", _ALIVE, projection={"lease": 1})
        lost = [each for each in living if is_expired(each["lease"])]
        if not lost:
            return self._db
        try:
            _mark(self._db, lost)
        except DatabaseError:
            copy: DBInterface = find("MemoryInterface")()
            copy._insert("runs", list(self._db._find("runs", {})))
            _mark(copy, lost)
            return copy
        return self._db


def _mark(db: DBInterface, lost: Iterable[Document]) -> None:
    change = {"$set": {"status.phase": "lost", "status.ended": now()}}
    with db._transaction():
        for each in lost:
            # Only if nobody renewed the lease or took it over since it was read.
            db._update("runs", {"_id": each["_id"], "lease": each["lease"]}, change)


class Found(Sequence[Run]):
    """Runs that were found, in order."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = list(runs)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> Found: ...
    def __getitem__(self, index: int | slice) -> Run | Found:
        chosen = self._runs[index]
        return Found(chosen) if isinstance(chosen, list) else chosen

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._runs))}]"
