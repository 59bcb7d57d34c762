"""Recorder: the one writer of one run, from its first document to its last.

Everything that a checkpoint needs is in the database before the checkpoint is visible:
its artifacts first, then in one transaction the History up to it, the run's status and
summary, and the checkpoint itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ptutils.core.records.checkpoint import (
    OLDEST_FIRST,
    STATE_HIDDEN,
    encode_fields,
    encode_state,
)
from ptutils.core.records.document import SIDECAR
from ptutils.core.records.identity import is_expired, new_lease, new_run_id, now
from ptutils.core.records.series import chunk_documents, plain_summary
from ptutils.errors import LeaseError, NotFoundError
from ptutils.meta.history import History
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["FORMAT", "Recorder"]

FORMAT = 1
"""The version of the documents of a run, stored in each."""

_BEAT_S = 2.0


class Recorder:
    """Writes one run, and holds its lease while it does.

    Args:
        db: Where to.
        history: Whose points are written as they come.
        status: Returns the run's status as a plain document.
        owner: Under which it holds the run; whoever names the same may take it over.
    """

    def __init__(
        self,
        db: DBInterface,
        history: History,
        status: Callable[[], Document],
        owner: str,
    ) -> None:
        self.db = db
        self.run_id = ""
        self._history = history
        self._status = status
        self._owner = owner
        self._segment = 0
        self._chunks = 0
        self._lock = threading.RLock()
        self._unwritten: list[Document] = []
        self._fault: Exception | None = None

    def create(self, fields: Document, encoded: Document) -> str:
        """Insert a new run and hold it; return its id.

        Args:
            fields: Plain fields of the document.
            encoded: Values to be encoded: config, source, lineage.
        """
        self.run_id = new_run_id()
        document = {
            "_id": self.run_id,
            "created": now(),
            **fields,
            **encode_fields(self.db, encoded),
            "status": self._status(),
            "summary": {},
            "lease": new_lease(self._owner),
            "segments": [{"start": None}],
            "format": FORMAT,
        }
        with self.db._transaction():
            self.db._insert("runs", [document])
        return self.run_id

    def acquire(
        self, run_id: str, fields: Document, encoded: Document, start: Document
    ) -> None:
        """Take over a run that nobody holds, to go on from one of its checkpoints.

        Where the config changes, the last segment keeps the one that its checkpoints
        were taken under.

        Args:
            run_id: The run.
            fields: Plain fields of the document as they are from now on.
            encoded: Its config, source and lineage as they are from now on.
            start: The checkpoint's ``segment`` and ``chunks``: where History goes on.

        Raises:
            LeaseError: If another process holds it; the message says which.
            NotFoundError: If it is gone.
        """
        with self.db._transaction():
            document = self._document(run_id)
            lease = document["lease"]
            if not is_expired(lease) and lease["owner"] != self._owner:
                raise LeaseError(
                    f"cannot write run {run_id!r}",
                    expected="a run that no process is writing",
                    got=f"process {lease['pid']} on {lease['host']} is writing it; its "
                    f"lease holds until {lease['expires']:%H:%M:%S} UTC",
                    fix="stop that process, or branch the run instead",
                )
            now_encoded = encode_fields(self.db, encoded)
            *earlier, last = document["segments"]
            kept = {name: document[name] for name in ("config", SIDECAR)}
            if any(now_encoded[name] != kept[name] for name in kept):
                last = {**kept, **last}
            segments = [*earlier, last, {"start": start}]
            changes = {
                **fields,
                **now_encoded,
                "segments": segments,
                "lease": new_lease(self._owner),
                "status": self._status(),
            }
            self.db._update("runs", {"_id": run_id}, {"$set": changes})
        self.run_id = run_id
        self._segment, self._chunks = len(segments) - 1, 0

    @contextmanager
    def beating(self, lost: Callable[[str], None]) -> Iterator[None]:
        """Renew the lease and write History in the background while the block runs.

        Args:
            lost: Called with the reason if the run can no longer be written.
        """
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(_BEAT_S):
                try:
                    self.beat()
                except Exception as error:  # noqa: BLE001 - raised at the next save
                    self._fault = error
                    lost(str(error))
                    return

        thread = threading.Thread(target=beat, name="ptutils-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def beat(self) -> None:
        """Renew the lease; write status, summary and the points that came since.

        Raises:
            LeaseError: If another process took the run over.
        """
        with self._writing(new_lease(self._owner)):
            pass

    def checkpoint(
        self, state: Value, fields: Document, config: Value | None
    ) -> Document:
        """Write a checkpoint; it is durable and visible when this returns.

        Args:
            state: The Session's State.
            fields: ``step``, ``epoch``, ``why``, ``metrics``, ``elapsed_s``.
            config: The config, if it is no longer the run's.

        Returns:
            The document.
        """
        self.raise_fault()
        changed = {} if config is None else encode_fields(self.db, {"config": config})
        # The bulk goes first and alone: the lease is renewed meanwhile.
        stored = encode_state(self.db, state)
        with self._writing(new_lease(self._owner)):
            document = {
                "_id": f"{self.run_id}.{fields['step']:08d}."
                f"{self._segment}.{self._chunks}.{fields['why']}",
                "run": self.run_id,
                "created": now(),
                "pinned": False,
                "segment": self._segment,
                "chunks": self._chunks,
                **fields,
                **changed,
                **stored,
            }
            self.db._delete("checkpoints", {"_id": document["_id"]})
            self.db._insert("checkpoints", [document])
        return document

    def prune(self, retained: Callable[[list[Document]], set[str]]) -> None:
        """Delete the checkpoints that are not retained.

        Their artifacts stay in the database until it is cleaned.

        Args:
            retained: Chooses from the run's checkpoints, oldest first, whose to keep.
        """
        stored = list(
            self.db._find(
                "checkpoints",
                {"run": self.run_id},
                sort=OLDEST_FIRST,
                projection=STATE_HIDDEN,
            )
        )
        kept = retained(stored)
        ids = [document["_id"] for document in stored if document["_id"] not in kept]
        if ids:
            with self.db._transaction():
                self.db._delete("checkpoints", {"_id": {"$in": ids}})

    def finish(self) -> None:
        """Write what is left and let go of the run; durable when this returns."""
        with self._writing(None):
            pass

    def raise_fault(self) -> None:
        """Raise what the background writer ran into, once."""
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    @contextmanager
    def _writing(self, lease: Document | None) -> Iterator[None]:
        """Write new points, lease, status and summary, and what the block writes.

        All of it or nothing; points that could not be written are kept for next time.
        """
        with self._lock:
            taken = self._history.take()
            if taken:
                self._unwritten += chunk_documents(
                    self.run_id, self._segment, self._chunks, taken
                )
                self._chunks += 1
            with self.db._transaction():
                if self._unwritten:
                    self.db._insert("history", self._unwritten)
                self._update_run(lease)
                yield
            self._unwritten = []

    def _update_run(self, lease: Document | None) -> None:
        changes = {
            "lease": lease,
            "status": self._status(),
            "summary": plain_summary(self._history.summary()),
        }
        mine = {"_id": self.run_id, "lease.owner": self._owner}
        if not self.db._update("runs", mine, {"$set": changes}):
            has_owner = self._document(self.run_id)["lease"] is not None
            raise LeaseError(
                f"cannot go on writing run {self.run_id!r}",
                expected="the lease that this process held",
                got="another process took the run over"
                if has_owner
                else "the run has ended",
                fix="let that process finish, or branch the run"
                if has_owner
                else "resume or branch the run",
            )

    def _document(self, run_id: str) -> Document:
        for document in self.db._find("runs", {"_id": run_id}, limit=1):
            return document
        raise NotFoundError(
            f"run {run_id!r} is not in the database",
            expected="a run that was not deleted",
            got="no such run",
            fix="start anew from its config",
        )
