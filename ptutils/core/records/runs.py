"""Runs: the runs of a database as a collection that answers queries."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, overload

from ptutils.core.catalogue import find
from ptutils.core.records.document import plain_filter
from ptutils.core.records.identity import now
from ptutils.core.records.living import truthful
from ptutils.core.records.moving.copying import Progress, copy_runs
from ptutils.core.records.query import parse_query
from ptutils.core.records.run import Run
from ptutils.core.results.columns import columns_of
from ptutils.core.results.curves import plot_runs
from ptutils.core.results.frame import frame_of
from ptutils.core.results.table import Table
from ptutils.errors import CorruptError, NotFoundError, QueryError
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["Found", "Runs"]

_LOG: Final = logging.getLogger("ptutils")
_MOST_SHOWN = 100  # So many runs are a table in a notebook.


class Runs:
    """The collection ``runs`` of one database.

    It is all its runs, oldest first, as well: ``len(db.runs)``, ``db.runs[-1]``,
    ``db.runs["dc0pznjmc6z"]`` (or a few letters of it), ``for run in db.runs``.
    """

    def __init__(self, db: DBInterface) -> None:
        self._db = db

    @overload
    def __getitem__(self, key: int | str) -> Run: ...
    @overload
    def __getitem__(self, key: slice) -> Found: ...
    def __getitem__(self, key: int | str | slice) -> Run | Found:
        return self.get(key) if isinstance(key, str) else self.find()[key]

    def __len__(self) -> int:
        return len(self.find())

    def __iter__(self) -> Iterator[Run]:
        return iter(self.find())

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
        Those whose documents are damaged are left out, also where that hides whether
        they match: the log ``ptutils`` tells of them, and so does ``damaged`` of what
        is returned.

        Args:
            filter: A MongoDB filter document over the fields of a run.
            sort: Pairs of dotted path and 1 or -1.
            limit: How many at most; 0 means all.
            skip: How many to leave out first.

        Raises:
            QueryError: If the filter or sort is wrong.
        """
        found = self._find(filter or {}, sort=list(sort), limit=limit, skip=skip)
        for error in found.damaged:
            _LOG.warning("a run is left out: %s", error)
        return found

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
            CorruptError: If its document is damaged.
        """
        # The last characters of the range: every id that starts so lies below them.
        bounds = {"$gte": prefix, "$lt": prefix + "\U0010ffff"}
        # Nothing, such as a shell's unset variable, names no run, not even an only one.
        found = self._find({"_id": bounds}, limit=6) if prefix else Found([])
        if not found and prefix.isalnum():
            found = self._find({"_id": {"$regex": f"{prefix}$"}}, limit=6) or found
        if not found and found.damaged:
            raise found.damaged[0]
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

    def export(
        self,
        where: Document | str | None,
        target: DBInterface | str,
        *,
        progress: Progress | None = None,
    ) -> Found:
        """Copy runs into another database, and return them as they are there.

        As :meth:`DBInterface.import_runs`.

        Args:
            where: A filter, or a query in words; None means all.
            target: A database or its URL; it is made if it is not there.
            progress: Called with a run's id, and how many parts of how many are done.
        """
        found = self.where(where) if isinstance(where, str) else self.find(where)
        ids = [run.id for run in found]
        return Found(copy_runs(self._db, target, ids, progress))

    def _find(self, filter: Document, **window: Any) -> Found:
        damaged: list[CorruptError] = []
        try:
            source = truthful(self._db)
            documents = source._find("runs", plain_filter(filter), **window)
        except CorruptError as error:
            damaged.append(error)
            source = truthful(self._legible())
            documents = source._find("runs", plain_filter(filter), **window)
        found = []
        for document in documents:
            try:
                found.append(Run(self._db, document))
            except CorruptError as error:
                damaged.append(error)
        return Found(found, damaged=damaged)

    def _legible(self) -> DBInterface:
        """Return a copy of those runs whose documents can be read at all."""
        copy: DBInterface = find("MemoryInterface")()
        copy._insert("runs", list(self._db._readable("runs")))
        return copy


class Found(Sequence[Run]):
    """Runs that were found, in order.

    Attributes:
        damaged: Why others, which match too or may match, are not among them.
    """

    def __init__(
        self, runs: Iterable[Run], *, damaged: Sequence[CorruptError] = ()
    ) -> None:
        self._runs = list(runs)
        self.damaged = tuple(damaged)

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

    def table(self) -> Table:
        """Return the columns that tell the runs apart; ``print`` draws them."""
        return Table(columns_of(self._documents, now()))

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame``: one row per run, indexed by their ids.

        Its columns are the settings in which the runs differ (``config.seed``) and all
        that is known of their metrics (``summary.valid.accuracy.max``), besides
        experiment, phase, step, epoch, created and tags.

        Raises:
            ConfigError: If pandas is not installed.
        """
        return frame_of(self._documents)

    def plot(self, metric: str, *more: str, x: str = "step") -> Any:
        """Draw metrics, a line per run, labelled by what differs between the runs.

        Args:
            metric: Its path, such as ``valid.accuracy``.
            *more: Others, drawn in other line styles.
            x: ``step``, or ``epoch`` for the mean over each epoch.

        Returns:
            The ``matplotlib.axes.Axes``, on a new figure of ``matplotlib.pyplot``.

        Raises:
            ConfigError: If matplotlib is not installed, or ``x`` is neither.
            MissingNameError: If no run was found, or none has one of the metrics.
        """
        return plot_runs(self, [metric, *more], x)

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._runs))}]"

    def _repr_html_(self) -> str:
        shown, hidden = self[:_MOST_SHOWN], self[_MOST_SHOWN:]
        more = f"<p>and {len(hidden)} more</p>" if hidden else ""
        return f"{shown.table()._repr_html_()}{more}"

    @property
    def _documents(self) -> list[Document]:
        return [run.document for run in self._runs]
