"""Publisher: checkpoints on their way from a snapshot to every database of a run.

A snapshot is taken on the training thread. One other thread stores what it refers to,
makes it durable, then inserts the checkpoint, which is visible from then on, and drops
those that it replaces.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ptutils.core.records.artifacts import Kept, groups_of
from ptutils.core.records.checkpoint import OLDEST_FIRST, STATE_HIDDEN
from ptutils.core.records.identity import new_lease
from ptutils.core.records.writing.saver import Saver
from ptutils.core.records.writing.snapshot import Snapshot, Snapshots
from ptutils.core.records.writing.writer import Entry, Writer
from ptutils.core.records.writing.writers import Writers
from ptutils.errors import PtutilsError
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["Publisher", "Retained", "Taken"]

_LOG: Final = logging.getLogger("ptutils")

Retained: TypeAlias = Callable[[list[Document]], set[str]]
"""Chooses from a run's checkpoints, oldest first, the ids of those that stay."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A checkpoint that was taken and is still to be written.

    Attributes:
        document: Its fields, but for the State.
        snapshot: The State.
        config: The config, if it is no longer the run's.
        retained: Whose to keep once it is durable; None keeps all.
    """

    document: Document
    snapshot: Snapshot
    config: Value | None
    retained: Retained | None

    @property
    def size_bytes(self) -> int:
        """How much memory it holds."""
        return self.snapshot.size_bytes

    def entry(self) -> Entry:
        """Return what a database is to be given."""
        return Entry(
            collection="checkpoints",
            document=self.document,
            config=self.config,
            state=self.snapshot.encoded,
            kept=self.snapshot.kept,
        )


@dataclass(frozen=True)
class _Added:
    """A checkpoint that one of the databases was given."""

    taken: Taken
    writer: Writer
    entry: Entry

    @property
    def is_written(self) -> bool:
        return not self.writer.has(self.entry)

    @property
    def is_secure(self) -> bool:
        """Whether it is written, or can still be written elsewhere."""
        return self.is_written or not self.entry.kept


class Publisher:
    """Takes and publishes the checkpoints of one run.

    Args:
        writers: Of the run.
        owner: Under which it is held.

    Attributes:
        lacks_newest: Whether the last checkpoint had to be given up, or waits for a
            database without being whole.
    """

    def __init__(self, writers: Writers, owner: str) -> None:
        self.lacks_newest = False
        self._writers = writers
        self._owner = owner
        self._snapshots = Snapshots()
        self._newest: Snapshot | None = None
        self._learned_for: list[Writer] = []
        self._size_bytes = 0
        self._saver = Saver(self._publish)

    def take(self, state: Value, late: Collection[object] = ()) -> Snapshot:
        """Return a snapshot; wait first while too much is on its way already.

        Args:
            state: The State.
            late: The keys of storages that are not changed before :meth:`settle` is
                called.

        Raises:
            EncodeError: If something in the State cannot be stored exactly.
            DatabaseError: If the last database refused what came before.
        """
        self._saver.make_room(self._size_bytes)
        if self._learned_for != list(self._writers):
            self._snapshots.forget()
        snapshot = self._newest = self._snapshots.take(state, late)
        self._size_bytes = snapshot.size_bytes
        return snapshot

    def settle(self) -> None:
        """Copy what is still to be copied of the newest snapshot."""
        snapshot, self._newest = self._newest, None
        if snapshot is not None:
            self._snapshots.settle(snapshot)

    def put(self, taken: Taken) -> None:
        """Let a checkpoint be written in the background.

        Raises:
            DatabaseError: If the last database refused what came before.
        """
        self._saver.put(taken)

    def forget(self) -> None:
        """Take the next checkpoint whole."""
        self._snapshots.forget()

    def flush(self) -> None:
        """Wait until all is written that can be.

        Raises:
            DatabaseError: If the last database refused it.
        """
        self._saver.flush()

    def close(self) -> None:
        """Flush, and end the thread.

        Raises:
            DatabaseError: As :meth:`flush`.
        """
        self._saver.close()

    def _publish(self, batch: Sequence[Taken]) -> None:
        """Write checkpoints, together or else one by one; called on another thread."""
        try:
            self._publish_together(batch)
        except (PtutilsError, OSError):
            if len(batch) == 1:
                raise
            faults = []
            for taken in batch:  # Perhaps only one of them is at fault.
                try:
                    self._publish_together([taken])
                except (PtutilsError, OSError) as error:
                    faults.append(error)
            if faults:
                raise faults[0] from None

    def _publish_together(self, batch: Sequence[Taken]) -> None:
        """Write checkpoints to each database at once."""
        writers = list(self._writers)  # What is kept lies in none that comes later.
        complete = [taken for taken in batch if self._is_complete(taken)]
        staged = [self._staged(taken, writers) for taken in complete]
        with self._writers.lock:
            added = [
                # One that took another's place meanwhile has nothing staged yet.
                _Added(taken, writer, entries.get(writer) or taken.entry())
                for taken, entries in zip(complete, staged, strict=True)
                for writer in self._writers
                if writer in entries or not taken.snapshot.kept
            ]
            for each in added:
                each.writer.add([each.entry])
        try:
            self._writers.send(new_lease(self._owner), patiently=True)
        except BaseException:
            for each in added:
                each.writer.withdraw(each.entry)
            raise
        there = set(self._writers)
        self.lacks_newest = not any(
            each.taken is batch[-1] and each.writer in there and each.is_secure
            for each in added
        )
        # What was handed over to a spill may still be read by who does that.
        if added and all(each.writer in there and each.is_written for each in added):
            self._learn(complete[-1], added)
            self._published(complete)

    def _staged(self, taken: Taken, writers: Iterable[Writer]) -> dict[Writer, Entry]:
        """Store the bulk of a checkpoint, first and alone: the lease is renewed."""
        entries = dict.fromkeys(writers, taken.entry())
        for writer in list(entries):
            if writer in set(self._writers):
                with self._writers.guarding(writer):
                    entries[writer] = writer.stage(entries[writer])
        return entries

    def _learn(self, newest: Taken, added: Iterable[_Added]) -> None:
        """Note what need not be copied again while it stays as it is."""
        entry_by_writer = {
            each.writer: each.entry for each in added if each.taken is newest
        }
        writers, snapshot = list(self._writers), newest.snapshot
        if snapshot.storages and set(writers) == set(entry_by_writer):
            stored = entry_by_writer[writers[0]].document
            if "artifacts" in stored:
                self._snapshots.learn(snapshot, groups_of(stored, "this State"))
                self._learned_for = writers

    def _is_complete(self, taken: Taken) -> bool:
        """Complete a snapshot; give it up if that is no longer possible."""
        snapshot = taken.snapshot
        snapshot.complete()
        if snapshot.is_spoiled:
            self._snapshots.distrust()
            why = "parameters were changed between two updates"
        elif snapshot.kept and not self._holds(snapshot.kept.values()):
            self._snapshots.forget()
            why = "a part that had not changed is no longer in the database"
        else:
            return True
        self._snapshots.reuse(snapshot)
        _LOG.warning(
            "the checkpoint of step %s is given up, and the next step is saved "
            "instead: %s",
            taken.document["step"],
            why,
        )
        self._writers.ask_for_checkpoint()
        return False

    def _holds(self, kept: Iterable[Kept]) -> bool:
        """Return whether artifacts are in every database, as far as can be told."""
        digests = {digest for each in kept for digest in each.digests}
        for writer in self._writers:
            with self._writers.guarding(writer):
                if digests - writer.db._stored(digests).keys():
                    return False
        return self._learned_for == list(self._writers)

    def _published(self, batch: Sequence[Taken]) -> None:
        """Let go of what checkpoints that are durable now replace."""
        for taken in batch:
            self._snapshots.reuse(taken.snapshot)
        for taken in batch[-1:]:
            if taken.retained is not None:
                self._prune(taken.document["run"], taken.retained)

    def _prune(self, run_id: str, retained: Retained) -> None:
        """Delete the checkpoints that are not retained.

        Their artifacts stay in the database until it is cleaned.
        """
        for writer in self._writers:
            if not writer.is_away:
                with self._writers.guarding(writer):
                    _prune(writer.db, run_id, retained)


def _prune(db: DBInterface, run_id: str, retained: Retained) -> None:
    stored = db._find(
        "checkpoints", {"run": run_id}, sort=OLDEST_FIRST, projection=STATE_HIDDEN
    )
    kept = retained(stored)
    ids = [document["_id"] for document in stored if document["_id"] not in kept]
    if ids:
        # One that was pinned at this moment stays.
        with db._transaction():
            db._delete("checkpoints", {"_id": {"$in": ids}, "pinned": False})
