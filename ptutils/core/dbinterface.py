"""The contract of a database: generic verbs for any document, over a few hooks.

A backend fills the hooks (see :mod:`ptutils.core.hooks`), which speak of *plain*
documents and of bytes; everything else is written here once, for every backend.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from ptutils.core.hooks import Fault, Hooks
from ptutils.core.module import Module
from ptutils.core.records.document import (
    SIDECAR,
    check_update,
    is_exact,
    new_id,
    plain_filter,
    plain_update,
    seal,
    unseal,
)
from ptutils.core.records.parts import find_parts
from ptutils.core.records.upkeep.garbage import GRACE_S, Garbage, collect, ensure
from ptutils.errors import (
    ConflictError,
    DatabaseError,
    NotFoundError,
    QueryError,
    nearest,
)
from ptutils.meta.codec import Buffer
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.records.moving.copying import Progress
    from ptutils.core.records.run import Run
    from ptutils.core.records.runs import Runs

__all__ = ["DBInterface"]

_T = TypeVar("_T")
_MOST_TRIES: Final = 100
_VERBS: Final = ("delete", "exists", "find", "load", "load_from_ids", "save", "update")


class DBInterface(Module, Hooks):
    """A database of nested documents, arrays and tensors included.

    What is saved comes back equal and of the same types. Filters, sorts, projections
    and updates are MongoDB's, on every backend. Threads may share one instance; a
    process that forks may go on using it on both sides.

    Example:
        >>> from ptutils.db.memory import MemoryInterface
        >>> db = MemoryInterface()
        >>> identity = db.save({"name": "a", "betas": (0.9, 0.999)})
        >>> db.load({"betas": 0.9})["betas"]
        (0.9, 0.999)
    """

    def save(
        self, document: Mapping[str, Value], collection: str = "documents"
    ) -> Value:
        """Store a document durably and return its ``_id``.

        Args:
            document: Any nested values; an ``_id`` is made where there is none.
            collection: The group of documents to put it in.

        Raises:
            EncodeError: If a value cannot be stored exactly; nothing is stored.
            DatabaseError: If the ``_id`` is taken, or the database cannot be written.
        """
        if not isinstance(document, Mapping):
            raise DatabaseError(
                "cannot save this as a document",
                expected="a dict",
                got=type(document).__name__,
                fix="wrap it: db.save({'value': ...})",
            )
        named = {"_id": new_id(), **document}
        held: dict[str, Buffer] = {}

        def put(artifacts: Sequence[Buffer]) -> list[str]:
            digests = self._put(artifacts)
            held.update(zip(digests, artifacts, strict=True))
            return digests

        plain = seal(named, put)

        def insert() -> None:
            ensure(self, held)
            self._insert(collection, [plain])

        self._transact(insert)
        return named["_id"]

    def load(self, which: Value, collection: str = "documents") -> Document:
        """Return the document with an ``_id``, or the first that a filter finds.

        Raises:
            NotFoundError: If there is none.
        """
        filter = which if isinstance(which, dict) else {"_id": which}
        return unseal(self._one(collection, plain_filter(filter)), self._get)

    def find(
        self,
        filter: Document | None = None,
        *,
        sort: Sequence[tuple[str, int]] | None = None,
        limit: int = 0,
        skip: int = 0,
        projection: Document | Sequence[str] | None = None,
        collection: str = "documents",
    ) -> list[Document]:
        """Return all documents that a MongoDB filter finds.

        Args:
            filter: ``None`` finds all.
            sort: Pairs of a path and 1 or -1; the order of saving by default.
            limit: How many at most; 0 means all.
            skip: How many to leave out at the beginning.
            projection: Which paths to return: ``["a", "b.c"]``, ``{"a": 1}`` or, all
                but these, ``{"a": 0}``.
            collection: Where to look.

        Raises:
            QueryError: If the filter or another argument is wrong.
        """
        wanted = plain_filter(filter or {})
        order = list(sort or ())
        if projection:
            return find_parts(
                self,
                collection,
                wanted,
                projection,
                sort=order,
                limit=limit,
                skip=skip,
            )
        found = self._find(collection, wanted, sort=order, limit=limit, skip=skip)
        return [unseal(document, self._get) for document in found]

    def update(
        self,
        filter: Document,
        update: Document,
        *,
        many: bool = False,
        upsert: bool = False,
        collection: str = "documents",
    ) -> int:
        """Change the first document that a filter finds, or all, atomically.

        Args:
            filter: Which documents.
            update: ``$set $unset $inc $push $addToSet $pull`` with plain values.
            many: Change all that are found.
            upsert: Insert what filter and update describe if none is found.
            collection: Where to look.

        Returns:
            How many documents were found, or 1 if one was inserted.

        Raises:
            QueryError: If the update is wrong, or does not fit a document.
            EncodeError: If a value is not plain.
        """
        wanted, change = plain_filter(filter), plain_update(update)

        def change_found() -> int:
            self._check_sidecars(collection, wanted, change, 0 if many else 1)
            return self._update(collection, wanted, change, many=many, upsert=upsert)

        return self._transact(change_found)

    def delete(self, filter: Document, collection: str = "documents") -> int:
        """Delete all documents that a filter finds and return how many there were."""
        return self._delete(collection, plain_filter(filter))

    def load_from_ids(
        self, ids: Iterable[Value], collection: str = "documents"
    ) -> list[Document]:
        """Return the documents with these ids, in this order.

        Raises:
            NotFoundError: If any is missing; all the missing ones are named.
        """
        found, missing = [], []
        for each in ids:
            try:
                found.append(self.load({"_id": each}, collection))
            except NotFoundError:
                missing.append(each)
        if missing:
            raise NotFoundError(
                f"cannot load {len(missing)} of {len(found) + len(missing)} documents "
                f"from {collection!r}",
                path=self.url,
                got=f"no document with '_id' {', '.join(map(repr, missing))}",
            )
        return found

    def exists(self, filter: Document, collection: str = "documents") -> bool:
        """Return whether a filter finds anything."""
        return bool(self._find(collection, plain_filter(filter), limit=1))

    def access(self, request: Mapping[str, Value]) -> Value:
        """Answer one request: a dict with a ``verb`` and the arguments of that method.

        Raises:
            QueryError: If there is no such verb.

        Example:
            >>> from ptutils.db.memory import MemoryInterface
            >>> MemoryInterface().access({"verb": "find", "filter": {"a": 1}})
            []
        """
        arguments = dict(request)
        verb = arguments.pop("verb", None)
        if verb not in _VERBS:
            close = nearest(str(verb), _VERBS)
            raise QueryError(
                f"cannot answer a request with the verb {verb!r}",
                expected="one of " + ", ".join(_VERBS),
                fix=f"did you mean {close!r}?" if close else "",
            )
        return getattr(self, verb)(**arguments)

    __call__ = access

    def flush(self) -> None:
        """Make durable what was saved; backends that never put it off do nothing."""

    def close(self) -> None:
        """Let go of files and connections; using it again opens them again."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def import_runs(
        self,
        source: DBInterface | str,
        where: Document | str | None = None,
        *,
        progress: Progress | None = None,
    ) -> list[Run]:
        """Copy runs of another database into this one, exactly.

        It may be repeated: what is here already is not copied again, and a run that
        went on there since is brought up to date. Broken off, it goes on when it is
        repeated. A run that somebody is writing there is copied as it stands. Labels
        that people put on a run here (tags, notes, archived) stay.

        What a run put aside in a database of its own, while this one was out of reach,
        becomes part of the run again.

        Args:
            source: A database or its URL.
            where: A filter, or a query in words; all runs by default.
            progress: Called with a run's id, and how many parts of how many are done.

        Returns:
            The runs as they are here.

        Raises:
            DatabaseError: If a run went on here and there, or cannot be copied; all
                others are copied first.
        """
        copying = importlib.import_module("ptutils.core.records.moving.copying")
        runs: list[Run] = copying.import_runs(self, source, where, progress)
        return runs

    def gc(self, grace_s: float = GRACE_S) -> Garbage:
        """Remove what nothing needs any more; writers may go on meanwhile.

        That is artifacts that no document refers to, and checkpoints and History whose
        run is gone; of both only what is older than the grace period.

        Args:
            grace_s: Its length in seconds. Less than the default is safe only while
                nobody writes.
        """
        return collect(self, grace_s)

    def verify(self, *, repair: bool = False) -> list[Fault]:
        """Read everything and return all that is wrong, as sentences for a person.

        Args:
            repair: Mend what can be mended. A checkpoint that cannot load any more is
                moved to the collection ``damaged``, so that its run resumes from the
                newest complete one; nothing that can be read is deleted.
        """
        # By name: it reads runs, which need databases.
        name = "ptutils.core.records.upkeep.verification"
        faults: list[Fault] = importlib.import_module(name).verify(self, repair=repair)
        return faults

    @property
    def runs(self) -> Runs:
        """The runs in this database: find, inspect, resume, branch."""
        # By name, so that a database that is used for documents alone loads no runs.
        runs: Runs = importlib.import_module("ptutils.core.records.runs").Runs(self)
        return runs

    def _transact(self, act: Callable[[], _T]) -> _T:
        """Do all of it or nothing; again, where another process was faster."""
        tries = 0
        while True:
            tries += 1
            try:
                with self._transaction():
                    return act()
            except ConflictError:
                if tries == _MOST_TRIES:
                    raise

    def _check_sidecars(
        self, collection: str, filter: Document, update: Document, limit: int
    ) -> None:
        shown = [f"{SIDECAR}.types"]
        for found in self._find(collection, filter, limit=limit, projection=shown):
            if not is_exact(found):
                where = f"{collection}.{found['_id']}"
                check_update(update, found[SIDECAR], where)
