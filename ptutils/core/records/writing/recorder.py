"""Recorder: writes one run from its first document to its last, wherever it is kept.

Everything that a checkpoint needs is in the database before the checkpoint is visible:
its artifacts first, then in one transaction the History up to it, the checkpoint itself
and the run's status and summary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ptutils.core.records.checkpoint import encode_fields
from ptutils.core.records.identity import abandon, new_lease, new_run_id, now
from ptutils.core.records.moving.copying import copy_run
from ptutils.core.records.series import chunk_documents, plain_summary
from ptutils.core.records.writing.heartbeat import repeating
from ptutils.core.records.writing.publisher import Publisher, Retained, Taken
from ptutils.core.records.writing.taking_over import require_newest, take_over
from ptutils.core.records.writing.writer import Entry
from ptutils.core.records.writing.writers import Writers
from ptutils.meta.codec import decode, encode
from ptutils.meta.history import History
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["FORMAT", "Recorder"]

FORMAT: Final = 2
"""The version of the documents of a run, stored in each."""

_RETRY_S = 0.2


def _ignore(request: Document) -> None:
    """React to no request."""


class Recorder:
    """Writes one run, and holds its lease while it does.

    Args:
        databases: Where to; the first is the one that is read.
        history: Whose points are written as they come.
        status: Returns the run's status as a plain document.
        owner: Under which it holds the run; whoever names the same may take it over.
    """

    def __init__(
        self,
        databases: Sequence[DBInterface],
        history: History,
        status: Callable[[], Document],
        owner: str,
    ) -> None:
        self.run_id = ""
        self._databases = databases
        self._history = history
        self._status = status
        self._owner = owner
        self._writers = Writers(owner, self._present, self._ask_for_checkpoint)
        self._segment = 0
        self._chunks = 0
        self._summary: Document = {}
        self._publisher = Publisher(self._writers, owner)
        self._fault: Exception | None = None
        self._asked: Callable[[Document], None] = _ignore

    @property
    def db(self) -> DBInterface:
        """The database that the run can be read from now."""
        return self._writers.db

    def create(self, fields: Document, encoded: Document) -> str:
        """Insert a new run and hold it; return its id.

        Args:
            fields: Plain fields of the document.
            encoded: Values to be encoded: config, source, lineage.

        Raises:
            DatabaseError: If the first database cannot be written.
        """
        self.run_id = new_run_id()
        self._summarize()
        document = {
            "_id": self.run_id,
            "created": now(),
            **fields,
            **self._present(),
            "lease": new_lease(self._owner),
            "request": None,
            "segments": [{"start": None}],
            "faults": [],
            "archived": False,
            "format": FORMAT,
        }

        def start(db: DBInterface) -> Document:
            whole = {**document, **encode_fields(db, encoded)}
            with db._transaction():
                db._insert("runs", [whole])
            return whole

        self._writers.encoded = encoded
        for db in self._databases:
            self._writers.open(db, start)
        return self.run_id

    def acquire(
        self, run_id: str, fields: Document, encoded: Document, start: Document
    ) -> None:
        """Take over a run that nobody holds, to go on from one of its checkpoints.

        The other databases are brought up to the first.

        Args:
            run_id: The run.
            fields: Plain fields of the document as they are from now on.
            encoded: Its config, source and lineage as they are from now on.
            start: The checkpoint's ``segment`` and ``chunks``: where History goes on.

        Raises:
            LeaseError: If another process holds it; the message says which.
            NotFoundError: If it is gone.
            DatabaseError: If the run went on in another of the databases.
        """
        first, *others = self._databases
        require_newest(first, others, run_id)
        changes = {**fields, "status": self._status(), "request": None}
        document = take_over(
            first, run_id, new_lease(self._owner), changes, encoded, start
        )
        self.run_id = run_id
        self._summarize()
        self._segment, self._chunks = len(document["segments"]) - 1, 0
        self._writers.faults = list(document["faults"])
        self._writers.encoded = encoded
        self._writers.open(first, lambda db: document)

        def catch_up(db: DBInterface) -> Document:
            copy_run(first, db, run_id, lease=document["lease"])
            return document

        for db in others:
            self._writers.open(db, catch_up)

    @contextmanager
    def beating(
        self,
        lost: Callable[[str], None],
        asked: Callable[[Document], None] = _ignore,
    ) -> Iterator[None]:
        """Renew the lease and write History in the background while the block runs.

        History is written less often the longer it takes.

        Args:
            lost: Called with the reason if the run can no longer be written.
            asked: Called with what is asked of the run, by another process or by the
                recorder itself: see :mod:`ptutils.core.records.verbs.requests`.
        """
        self._asked = asked

        def failed(error: Exception) -> None:
            self._fault = error
            lost(str(error))

        try:
            with repeating(self.beat, failed):
                yield
        finally:
            self._asked = _ignore

    def beat(self, is_flush: bool = True) -> None:
        """Renew the lease; write status, summary and the points that came since.

        What is asked of the run is passed on.

        Args:
            is_flush: Whether to write the points, and the summary that tells of them.

        Raises:
            LeaseError: If another process took the run over.
            DatabaseError: If the last database refuses what is written.
        """
        if is_flush:
            self._write(new_lease(self._owner))
        else:
            self._writers.send(new_lease(self._owner))
        self._see_request()

    def checkpoint(
        self,
        state: Value,
        fields: Document,
        config: Value | None,
        retained: Retained | None = None,
        late: Collection[object] = (),
    ) -> str:
        """Take a checkpoint of this moment; it is written while training goes on.

        It waits while too much is on its way already. After :meth:`flush` it is
        durable and visible, but where a database is out of reach: there it waits.

        Args:
            state: The Session's State.
            fields: ``step``, ``epoch``, ``why``, ``metrics``, ``elapsed_s``.
            config: The config, if it is no longer the run's.
            retained: Chooses from the run's checkpoints, oldest first, whose to keep
                once this one is durable; all by default.
            late: The keys of storages that are not changed before :meth:`settle` is
                called: they may be copied in the background.

        Returns:
            The id of the checkpoint.

        Raises:
            EncodeError: If something in the State cannot be stored exactly.
            DatabaseError: If the last database refused what came before.
        """
        self.raise_fault()
        snapshot = self._publisher.take(state, late)
        if config is not None:
            config = decode(encode(config, path="config"))  # As it is now.
        with self._writers.lock:
            self._writers.add(self._taken())
            document = self._checkpoint_document(fields)
        self._publisher.put(
            Taken(
                document=document, snapshot=snapshot, config=config, retained=retained
            )
        )
        return str(document["_id"])

    @property
    def lacks_newest(self) -> bool:
        """Whether the last checkpoint is to be taken again: it may never be written."""
        return self._publisher.lacks_newest

    def forget(self) -> None:
        """Take the next checkpoint whole, whatever was stored before."""
        self._publisher.forget()

    def settle(self) -> None:
        """Copy what is still to be copied: it is about to be changed."""
        self._publisher.settle()

    def flush(self) -> None:
        """Wait until every checkpoint that was taken is written.

        Raises:
            DatabaseError: If the last database refused one.
        """
        self._publisher.flush()

    def finish(self) -> None:
        """Write what is left and let go of the run; durable when this returns.

        It waits for a database that is out of reach, within the bound.
        """
        try:
            self._publisher.close()
            self._write(new_lease(self._owner))  # Its faults are told by the last one.
            self._write(None)
            while self._writers.is_waiting:
                time.sleep(_RETRY_S)
                self._write(None)
        except BaseException:
            abandon(self._owner)
            raise

    def raise_fault(self) -> None:
        """Raise what the background writer ran into, once."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _present(self) -> Document:
        return {"status": self._status(), "summary": self._summary}

    def _summarize(self) -> None:
        self._summary = plain_summary(self._history.summary())

    def _ask_for_checkpoint(self) -> None:
        self._asked({"verb": "checkpoint"})

    def _write(self, lease: Document | None) -> None:
        """Write what came since, and try again what waits."""
        with self._writers.lock:
            self._writers.add(self._taken())
        self._writers.send(lease)

    def _taken(self) -> list[Entry]:
        taken = self._history.take()
        self._summarize()
        if not taken:
            return []
        index, self._chunks = self._chunks, self._chunks + 1
        return [
            Entry(collection="history", document=document)
            for document in chunk_documents(self.run_id, self._segment, index, taken)
        ]

    def _checkpoint_document(self, fields: Document) -> Document:
        return {
            "_id": f"{self.run_id}.{fields['step']:08d}."
            f"{self._segment}.{self._chunks}.{fields['why']}",
            "run": self.run_id,
            "created": now(),
            "pinned": False,
            "segment": self._segment,
            "chunks": self._chunks,
            **fields,
        }

    def _see_request(self) -> None:
        first, *_ = self._writers
        if first.is_away:
            return
        asked = {"_id": self.run_id, "request": {"$ne": None}}
        with self._writers.guarding(first):
            for found in first.db._find("runs", asked, projection={"request": 1}):
                request = found["request"]
                seen = {"_id": self.run_id, "request.id": request["id"]}
                first.db._update("runs", seen, {"$set": {"request": None}})
                self._asked(request)
