"""Copying runs between any two databases: exactly, repeatably, safe against crashes.

What a document refers to is in the target before the document is: History first, then
each checkpoint after its artifacts, and the run's own document last. Whatever a crash
leaves behind belongs to no run yet, or is what the run has at the source; the next copy
goes on from there. Nothing here needs a transaction, or more memory than one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from textwrap import indent
from typing import TYPE_CHECKING, Final, TypeAlias

from ptutils.core.catalogue import find
from ptutils.core.records.checkpoint import STATE_HIDDEN
from ptutils.core.records.identity import is_expired
from ptutils.core.records.moving.admitting import held, require_free, require_whole
from ptutils.core.records.moving.carrying import carry_artifacts
from ptutils.core.records.moving.comparing import Chunks, is_ahead
from ptutils.core.records.pieces import batches
from ptutils.core.records.shape import CHECKPOINT, RUN, check
from ptutils.core.records.upkeep.garbage import expect_run, references, run_arrived
from ptutils.errors import (
    CorruptError,
    DatabaseError,
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

_MOST_ROUNDS: Final = 4
_COLUMN: Final = 12
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
            got=_listed(faults),
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
        DatabaseError: If the run went on in both databases, or what was put aside does
            not go on where the run in the target ends.
    """
    for _ in range(_MOST_ROUNDS):
        copy = _Copy(source, target, run_id, lease, progress or _ignore)
        if copy.run():
            copy.raise_faults()
            return
    raise held(target, run_id, "one that another process changes at this moment")


class _Copy:
    """One attempt to bring a run to the target."""

    def __init__(
        self,
        source: DBInterface,
        target: DBInterface,
        run_id: str,
        lease: Document | None,
        progress: Progress,
    ) -> None:
        self._theirs = source._one("runs", {"_id": run_id})
        check(self._theirs, RUN, "runs")
        self._ours: Document | None = None
        for self._ours in target._find("runs", {"_id": run_id}, limit=1):
            check(self._ours, RUN, "runs")
        require_free(target, self._theirs, self._ours, lease)
        self._merged = _merged(self._theirs, self._ours, lease)
        self._source = source
        self._target = target
        self._run = run_id
        self._progress = progress
        self._chunks = Chunks(source, target, run_id)
        self._checkpoints: list[str] = []
        self._there: set[str] = set()
        self._faults: list[DatabaseError] = []

    def run(self) -> bool:
        """Copy what the target lacks; tell whether all of it is there now."""
        num_segments = len(self._theirs["segments"])
        places = self._list_checkpoints(num_segments)
        # After the checkpoints, so that their History is among it.
        self._chunks.read(num_segments)
        require_whole(self._chunks, self._theirs, self._ours, places)
        is_new = self._ours is None or _text(self._merged) != _text(self._ours)
        if self._ours is None:
            self._chunks.drop_remains()
        elif is_new and is_ahead(self._chunks, self._theirs, self._ours):
            is_new = False
            self._chunks.missing, self._checkpoints = self._chunks.lost(), []
        self._copy_parts()
        return not is_new or self._finish()

    def raise_faults(self) -> None:
        """Raise what was wrong with single checkpoints."""
        if self._faults:
            raise CorruptError(
                f"cannot copy {len(self._faults)} checkpoints of run {self._run!r}; "
                "the rest is copied",
                path=self._source.url,
                got=_listed(self._faults),
            )

    def _list_checkpoints(self, num_segments: int) -> list[Document]:
        """Find what the target lacks; pins of the source hold there too."""
        here, there = (_brief(db, self._run) for db in (self._source, self._target))
        # None that is newer than the run's document.
        known = {k: each for k, each in here.items() if each["segment"] < num_segments}
        for name, each in known.items():
            same = there.get(name)
            if same is None or same["state"] != each["state"]:
                self._checkpoints.append(name)
                continue
            self._there.add(name)
            if each.get("pinned") and not same.get("pinned"):
                pin = {"$set": {"pinned": True}}
                self._target._update("checkpoints", {"_id": name}, pin)
        return list(known.values())

    def _copy_parts(self) -> None:
        done, total = 0, len(self._chunks.missing) + len(self._checkpoints)
        for batch in batches(self._chunks.here, self._chunks.missing):
            self._expect()
            found = self._source._find("history", {"_id": {"$in": batch}})
            _insert(self._target, "history", found)
            done += len(batch)
            self._progress(self._run, done, total)
        for name in self._checkpoints:
            self._expect()
            self._copy_checkpoint(name)
            done += 1
            self._progress(self._run, done, total)
        if not total:
            self._progress(self._run, 0, 0)

    def _copy_checkpoint(self, name: str) -> None:
        for document in self._source._find("checkpoints", {"_id": name}):
            needed = references("checkpoints", document)
            try:
                self._write(needed, partial(_replace, self._target, document))
            except (CorruptError, NotFoundError) as error:
                # Dropped by its schedule meanwhile, and its artifacts with it?
                if self._source._count("checkpoints", {"_id": name}):
                    self._faults.append(error)
                return
            self._there.add(name)

    def _write(self, needed: set[str], write: Callable[[], bool]) -> bool:
        """Carry artifacts, then write the document that needs them."""

        def write_safely() -> bool:
            # Mostly but a look: who slept since may find them cleaned away.
            carry_artifacts(self._source, self._target, needed)
            return write()

        carry_artifacts(self._source, self._target, needed)
        return self._target._transact(write_safely)

    def _expect(self) -> None:
        """Let nobody clean away, as parts of no run, what was copied so far."""
        if self._ours is None:
            expect_run(self._target, self._run)

    def _finish(self) -> bool:
        """Write the run's document, once all that it needs is there.

        A cleaning took parts away if the copying stood still for longer than its grace
        period; what is missing is copied in another round then.
        """
        self._expect()
        parts = {"history": self._chunks.here.keys(), "checkpoints": self._there}
        for collection, ids in parts.items() if self._ours is None else ():
            if ids - _ids(self._target, collection, self._run):
                return False
        needed = references("runs", self._theirs)
        write = partial(_write_run, self._target, self._merged, self._ours)
        if not self._write(needed, write):
            return False
        return self._ours is not None or run_arrived(self._target, self._run)


def _ignore(run_id: str, done: int, total: int) -> None:
    """Tell nobody how far it is."""


def _brief(db: DBInterface, run_id: str) -> dict[str, Document]:
    found = db._find("checkpoints", {"run": run_id}, projection=STATE_HIDDEN)
    for each in found:
        check(each, CHECKPOINT, "checkpoints")
    return {each["_id"]: each for each in found}


def _ids(db: DBInterface, collection: str, run_id: str) -> set[str]:
    found = db._find(collection, {"run": run_id}, projection={"_id": 1})
    return {each["_id"] for each in found}


def _insert(db: DBInterface, collection: str, documents: list[Document]) -> bool:
    """Insert all but those that another process brings at this moment.

    Returns:
        Whether there were no such.
    """
    rest = documents
    while rest:
        try:
            db._insert(collection, rest)
            break
        except UnavailableError:
            raise
        except DatabaseError:
            wanted = {"_id": {"$in": [each["_id"] for each in rest]}}
            found = db._find(collection, wanted, projection={"_id": 1})
            if not found:
                raise
            there = {each["_id"] for each in found}
            rest = [each for each in rest if each["_id"] not in there]
    return len(rest) == len(documents)


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


def _replace(db: DBInterface, checkpoint: Document) -> bool:
    db._delete("checkpoints", {"_id": checkpoint["_id"]})
    return _insert(db, "checkpoints", [checkpoint])


def _write_run(target: DBInterface, merged: Document, ours: Document | None) -> bool:
    """Write the document unless another process has written it since it was read."""
    if ours is None:
        return _insert(target, "runs", [merged])
    changes = {name: each for name, each in merged.items() if name != "_id"}
    unchanged = {"_id": merged["_id"], "lease": ours["lease"]}
    return bool(target._update("runs", unchanged, {"$set": changes}))


def _listed(faults: Iterable[PtutilsError]) -> str:
    """Return errors one below the other, in the column of what was found."""
    return indent("\n".join(map(str, faults)), " " * _COLUMN).lstrip()
