"""Writer: one run in one database; what cannot be written at once waits, in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ptutils.core.records.artifacts import Kept
from ptutils.core.records.checkpoint import encode_fields, state_fields
from ptutils.core.records.upkeep.garbage import GRACE_S
from ptutils.errors import LeaseError, NotFoundError, UnavailableError
from ptutils.meta.codec import Encoded
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["MOST_WAITING_BYTES", "Entry", "Writer"]

MOST_WAITING_BYTES: Final = 1 << 28
"""How much may wait in memory for a database that is out of reach."""

_POINT_BYTES: Final = 24
_STALL_S: Final = 10.0
"""How long one thread waits for what another writes, before the database counts as out
of reach."""

_ORDER: Final = ("history", "checkpoints")
"""Of writing: a checkpoint counts on the History before it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Entry:
    """A document that waits to be inserted.

    Attributes:
        collection: ``history`` or ``checkpoints``.
        document: Its fields, but for what is still to be stored.
        config: Of a checkpoint that was not taken under the run's own.
        state: Of a checkpoint.
        kept: Artifacts of the State, by position, that lie in this database already.
        stored_s: When what the document refers to was stored, in seconds since 1970.
    """

    collection: str
    document: Document
    config: Value | None = field(default=None, repr=False)
    state: Encoded | None = field(default=None, repr=False)
    kept: Mapping[int, Kept] = field(default_factory=dict, repr=False)
    stored_s: float = 0.0

    @property
    def num_points(self) -> int:
        """Points of History in it."""
        return int(self.document.get("count", 0))

    @property
    def size_bytes(self) -> int:
        """About how much memory it holds."""
        stored = self.document.get("artifacts", ())
        artifacts = stored if self.state is None else self.state.artifacts
        return self.num_points * _POINT_BYTES + sum(map(len, artifacts))

    def stored(self, db: DBInterface) -> Entry:
        """Return the entry with all that it refers to durable, and no garbage yet."""
        # A writer that slept may find its artifacts gone: nothing referred to them.
        if self.state is None or time.time() - self.stored_s < GRACE_S / 2:
            return self
        fields = state_fields(db, self.state, self.kept)
        if self.config is not None:
            fields |= encode_fields(db, {"config": self.config})
        document = {**self.document, **fields}
        return replace(self, document=document, stored_s=time.time())

    def moved(self) -> Entry:
        """Return the entry for another database, where nothing of it is stored yet."""
        return replace(self, stored_s=0.0)


class Writer:
    """Writes one run to one database.

    Args:
        db: Where to.
        owner: Under which it holds the run.
        document: The run's document as it is there.
    """

    def __init__(self, db: DBInterface, owner: str, document: Document) -> None:
        self.db = db
        self.document = dict(document)
        self._owner = owner
        self._waiting: list[Entry] = []
        self._inserted: set[str] = set()
        self._away_since: float | None = None
        self._writing = threading.Lock()
        self._queueing = threading.Lock()

    @property
    def is_away(self) -> bool:
        """Whether the database was out of reach when it was last tried."""
        return self._away_since is not None

    @property
    def is_beyond(self) -> bool:
        """Whether the database was away too long, or too much waits for it."""
        away_s = (
            0.0 if self._away_since is None else time.monotonic() - self._away_since
        )
        waiting = sum(entry.size_bytes for entry in self._waiting)
        return away_s > self.db.patience_s or waiting > MOST_WAITING_BYTES

    @property
    def is_over(self) -> bool:
        """Whether the run was let go of here."""
        return self.document["lease"] is None

    @property
    def num_points(self) -> int:
        """Points of History that wait."""
        return sum(entry.num_points for entry in self._waiting)

    def stage(self, entry: Entry) -> Entry:
        """Store what a checkpoint refers to, unless the database is out of reach.

        Raises:
            DatabaseError: If the database refuses.
        """
        if not self.is_away:
            try:
                return entry.stored(self.db)
            except UnavailableError:
                self._note_absence()
        return entry

    def add(self, entries: Iterable[Entry]) -> None:
        """Let documents wait for the next :meth:`write`."""
        with self._queueing:
            self._waiting += entries

    def withdraw(self, entry: Entry) -> None:
        """Let a document wait no longer, if it does."""
        with self._queueing:
            self._waiting = [each for each in self._waiting if each is not entry]

    def has(self, entry: Entry) -> bool:
        """Return whether a document still waits."""
        with self._queueing:
            return any(each is entry for each in self._waiting)

    def hand_over(self, other: Writer) -> None:
        """Let another writer write what waits here."""
        with self._queueing:  # A call that nobody answers may hold the rest for long.
            other.add(entry.moved() for entry in self._waiting if not entry.kept)
            self._waiting = []

    def write(self, changes: Document, *, patiently: bool = False) -> None:
        """Write what waits, then change the run's document.

        All or nothing where the database has transactions; where it has none, what was
        written is not seen before the last step, and the next call writes it again.

        Args:
            changes: New values of the run's fields, the lease among them.
            patiently: Leave a database that was out of reach to the next call.

        Raises:
            LeaseError: If another process took the run over.
            UnavailableError: If the database is out of reach, for too long where that
                is expected; what waits goes on waiting.
            DatabaseError: If it refuses; likewise.
        """
        if not self._writing.acquire(timeout=_STALL_S):
            self._note_absence()  # Another thread waits for an answer in vain.
            self._require_patience()
            return
        try:
            if patiently and self.is_away:
                self._require_patience()
                return
            waiting = list(self._waiting)
            self._write(waiting, changes)
            written = set(waiting)
            with self._queueing:  # Some may have been withdrawn meanwhile.
                self._waiting = [e for e in self._waiting if e not in written]
            self._away_since = None
            self.document.update(changes)
        except UnavailableError:
            self._note_absence()
            raise
        finally:
            self._writing.release()

    def _require_patience(self) -> None:
        if self.is_beyond:
            raise UnavailableError(
                "a database is out of reach",
                path=self.db.url,
                expected=f"an answer within {self.db.patience_s:g} s, and at most "
                f"{MOST_WAITING_BYTES >> 20} MiB that wait for it",
                got="none",
                fix="start it again, or mend the network",
            )

    def _write(self, waiting: list[Entry], changes: Document) -> None:
        stored = [entry.stored(self.db) for entry in waiting]
        with self.db._transaction():
            for collection in _ORDER:
                documents = [e.document for e in stored if e.collection == collection]
                self._insert(collection, documents)
            self._update(changes)

    def _insert(self, collection: str, documents: list[Document]) -> None:
        if not documents:
            return
        # A checkpoint may be taken anew at a step.
        documents = list({each["_id"]: each for each in documents}.values())
        ids = [document["_id"] for document in documents]
        if self.is_away or self._inserted.intersection(ids):
            # Written before, perhaps, and the answer did not arrive.
            same = {"_id": {"$in": ids}}
            if collection == "checkpoints":
                pinned = self.db._find(collection, {**same, "pinned": True})
                kept = {document["_id"] for document in pinned}
                documents = [{**d, "pinned": d["_id"] in kept} for d in documents]
            self.db._delete(collection, same)
        if collection == "checkpoints":
            self._inserted.update(ids)
        self.db._insert(collection, documents)

    def _update(self, changes: Document) -> None:
        run_id = self.document["_id"]
        mine = {"_id": run_id, "lease.owner": self._owner}
        if self.db._update("runs", mine, {"$set": changes}):
            return
        for found in self.db._find("runs", {"_id": run_id}, projection={"lease": 1}):
            is_over = found["lease"] is None
            if is_over and changes["lease"] is None and self.is_away:
                return  # The answer to this very change did not arrive.
            raise _taken(run_id, is_over=is_over)
        raise NotFoundError(
            f"run {run_id!r} is not in the database",
            expected="a run that was not deleted",
            got="no such run",
            fix="start anew from its config",
        )

    def _note_absence(self) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()


def _taken(run_id: str, *, is_over: bool) -> LeaseError:
    return LeaseError(
        f"cannot go on writing run {run_id!r}",
        expected="the lease that this process held",
        got="the run has ended" if is_over else "another process took the run over",
        fix="resume or branch the run"
        if is_over
        else "let that process finish, or branch the run",
    )
