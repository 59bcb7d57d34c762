"""Copying runs between any two databases: exactly, repeatably, safe against crashes.

What a document refers to is in the target before the document is: History first, then
each checkpoint after its artifacts, and the run's own document last. Whatever a crash
leaves behind belongs to no run yet, or is what the run has at the source; the next copy
goes on from there. Nothing here needs a transaction, or more memory than one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from ptutils.core.catalogue import find
from ptutils.core.records.checkpoint import STATE_HIDDEN
from ptutils.core.records.identity import is_expired
from ptutils.core.records.moving.carrying import carry_artifacts
from ptutils.core.records.moving.comparing import Chunks, is_ahead
from ptutils.core.records.shape import CHECKPOINT, RUN, check
from ptutils.core.records.upkeep.garbage import references
from ptutils.errors import (
    CorruptError,
    DatabaseError,
    LeaseError,
    NotFoundError,
    PtutilsError,
    UnavailableError,
)
from ptutils.meta.codec import dumps
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface
    from ptutils.core.records.run import Run

__all__ = ["Progress", "copy_run", "copy_runs", "import_runs"]

Progress: TypeAlias = Callable[[str, int, int], None]

_BATCH: Final = 64
_OF_SPILLS: Final = ("spilled_from", "spilled_by")


def import_runs(
    target: DBInterface,
    source: DBInterface | str,
    where: Document | str | None,
    progress: Progress | None,
) -> list[Run]:
    """Copy runs of ``source``; see :meth:`DBInterface.import_runs`."""
    if isinstance(source, str):
        with find("connect")(source, create=False) as opened:
            return import_runs(target, opened, where, progress)
    runs = source.runs
    found = runs.where(where) if isinstance(where, str) else runs.find(where)
    return copy_runs(source, target, [run.id for run in found], progress)


def copy_runs(
    source: DBInterface,
    target: DBInterface | str,
    run_ids: Sequence[str],
    progress: Progress | None = None,
) -> list[Run]:
    """Copy runs and return them as they are in the target.

    Where one cannot be copied the others are, before the error is raised.

    Args:
        source: Where they are.
        target: Where to, or its URL; it is made if it is not there.
        run_ids: Which.
        progress: Called with a run's id, and how many parts of how many are done.
    """
    db = find("connect")(target) if isinstance(target, str) else target
    faults: list[PtutilsError] = []
    for run_id in run_ids:
        try:
            copy_run(source, db, run_id, progress=progress)
        except UnavailableError:
            raise
        except DatabaseError as error:
            faults.append(error)
    if len(run_ids) == 1 and faults:
        raise faults[0]
    if faults:
        raise DatabaseError(
            f"cannot copy {len(faults)} of {len(run_ids)} runs to {db.url}; "
            "the others are there",
            got="\n".join(["", *map(str, faults)]),
        )
    return list(db.runs.find({"_id": {"$in": list(run_ids)}}))


def copy_run(
    source: DBInterface,
    target: DBInterface,
    run_id: str,
    *,
    lease: Document | None = None,
    progress: Progress | None = None,
) -> None:
    """Bring one run in ``target`` up to what it is in ``source``.

    What is there already is not copied again. Labels that people put on it in the
    target stay.

    Args:
        source: Where the run is.
        target: Where to.
        run_id: Which.
        lease: Under which a process writes it in the target from now on.
        progress: Called with the run's id, and how many parts of how many are done.

    Raises:
        NotFoundError: If the source has no such run.
        LeaseError: If a process is writing the run in the target.
        CorruptError: If a part is damaged at the source; all others are copied.
        DatabaseError: If the run went on in both databases.
    """
    theirs = source._one("runs", {"_id": run_id})
    check(theirs, RUN, "runs")
    ours = None
    for ours in target._find("runs", {"_id": run_id}, limit=1):
        check(ours, RUN, "runs")
    _require_free(target, theirs, ours, lease)
    _require_whole(source, target, theirs, ours)
    merged = _merged(theirs, ours, lease)
    copy = _Copy(source, target, theirs, progress or _ignore)
    copy.list_checkpoints()
    is_new = ours is None or _text(merged) != _text(ours)
    if is_new:
        copy.list_chunks(ours)
        if ours is not None and is_ahead(copy.chunks, theirs, ours):
            return
    copy.run()
    if is_new:
        carry_artifacts(source, target, references("runs", theirs))
        _write_run(target, merged, ours)
    copy.raise_faults()


class _Copy:
    """What of a run is still to be copied."""

    def __init__(
        self,
        source: DBInterface,
        target: DBInterface,
        document: Document,
        progress: Progress,
    ) -> None:
        self.chunks = Chunks(source, target, document["_id"])
        self._source = source
        self._target = target
        self._run: str = document["_id"]
        self._num_segments = len(document["segments"])
        self._progress = progress
        self._checkpoints: list[str] = []
        self._faults: list[DatabaseError] = []

    def list_checkpoints(self) -> None:
        """Find what the target lacks; pins of the source hold there too."""
        here, there = (_brief(db, self._run) for db in (self._source, self._target))
        for name, each in here.items():
            if each["segment"] >= self._num_segments:
                continue  # Newer than the run's document that is copied.
            same = there.get(name)
            if same is None or same["state"] != each["state"]:
                self._checkpoints.append(name)
            elif each.get("pinned") and not same.get("pinned"):
                pin = {"$set": {"pinned": True}}
                self._target._update("checkpoints", {"_id": name}, pin)

    def list_chunks(self, ours: Document | None) -> None:
        """Compare the History; after the checkpoints, so that theirs is among it."""
        self.chunks.read(self._num_segments)
        if ours is None:
            self.chunks.drop_remains()

    def run(self) -> None:
        """Copy what was listed."""
        done, total = 0, len(self.chunks.missing) + len(self._checkpoints)
        for batch in _batches(self.chunks.missing):
            found = self._source._find("history", {"_id": {"$in": batch}})
            self._target._insert("history", found)
            done += len(batch)
            self._progress(self._run, done, total)
        for name in self._checkpoints:
            self._copy_checkpoint(name)
            done += 1
            self._progress(self._run, done, total)
        if not total:
            self._progress(self._run, 0, 0)

    def raise_faults(self) -> None:
        """Raise what was wrong with single checkpoints."""
        if self._faults:
            raise CorruptError(
                f"cannot copy {len(self._faults)} checkpoints of run {self._run!r}; "
                "the rest is copied",
                path=self._source.url,
                got="\n".join(["", *map(str, self._faults)]),
            )

    def _copy_checkpoint(self, name: str) -> None:
        for document in self._source._find("checkpoints", {"_id": name}):
            try:
                carry_artifacts(
                    self._source, self._target, references("checkpoints", document)
                )
            except (CorruptError, NotFoundError) as error:
                # Dropped by its schedule meanwhile, and its artifacts with it?
                if self._source._count("checkpoints", {"_id": name}):
                    self._faults.append(error)
                return
            self._target._delete("checkpoints", {"_id": name})
            self._target._insert("checkpoints", [document])


def _ignore(run_id: str, done: int, total: int) -> None:
    """Tell nobody how far it is."""


def _brief(db: DBInterface, run_id: str) -> dict[str, Document]:
    found = db._find("checkpoints", {"run": run_id}, projection=STATE_HIDDEN)
    for each in found:
        check(each, CHECKPOINT, "checkpoints")
    return {each["_id"]: each for each in found}


def _batches(ids: Sequence[str]) -> Iterable[list[str]]:
    for start in range(0, len(ids), _BATCH):
        yield list(ids[start : start + _BATCH])


def _merged(
    theirs: Document, ours: Document | None, lease: Document | None
) -> Document:
    """Return the run's document as it is to be in the target."""
    merged = {name: each for name, each in theirs.items() if name not in _OF_SPILLS}
    # Nobody writes it there: what is alive at the source reads as lost.
    left = theirs["lease"] if is_expired(theirs["lease"]) else None
    merged |= {"lease": lease or left, "request": None}
    if ours is not None:
        tags = [*theirs["tags"], *ours["tags"]]
        merged["tags"] = list(dict.fromkeys(tags))
        merged["notes"] = ours["notes"] or theirs["notes"]
        merged["archived"] = ours.get("archived", False)
    return merged


def _text(document: Mapping[str, object]) -> str:
    return dumps(dict(sorted(document.items())))


def _write_run(target: DBInterface, merged: Document, ours: Document | None) -> None:
    if ours is None:
        target._insert("runs", [merged])
        return
    changes = {name: each for name, each in merged.items() if name != "_id"}
    unchanged = {"_id": merged["_id"], "lease": ours["lease"]}
    if not target._update("runs", unchanged, {"$set": changes}):
        raise _held(target, merged["_id"], "one that was taken over at this moment")


def _require_free(
    target: DBInterface,
    theirs: Document,
    ours: Document | None,
    lease: Document | None,
) -> None:
    if ours is None or is_expired(ours["lease"]):
        return
    held = ours["lease"]
    # Who spilled a run holds it still, as far as the database knows.
    was_let_go = held["owner"] == theirs.get("spilled_by") and is_expired(
        theirs["lease"]
    )
    if was_let_go or (lease is not None and lease["owner"] == held["owner"]):
        return
    got = f"process {held['pid']} on {held['host']} is writing it"
    raise _held(target, ours["_id"], got)


def _held(target: DBInterface, run_id: str, got: str) -> LeaseError:
    return LeaseError(
        f"cannot copy run {run_id!r} to {target.url}",
        expected="a run that no process is writing there",
        got=got,
        fix="stop that process first: ptutils stop " + run_id,
    )


def _require_whole(
    source: DBInterface, target: DBInterface, theirs: Document, ours: Document | None
) -> None:
    """Refuse to copy what was put aside to where the run itself is not."""
    home = theirs.get("spilled_from")
    if home is not None and ours is None:
        raise DatabaseError(
            f"cannot copy run {theirs['_id']!r} to {target.url}",
            expected=f"the database that has its beginning: {home}",
            got=f"only what was put aside in {source.url} while it was out of reach",
            fix=f"ptutils import {source.url} --db {home}",
        )
