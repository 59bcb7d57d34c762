"""Garbage: what no document needs any more, and how it is told from what is new.

An artifact is stored before the document that refers to it. Until then nothing refers
to it, so that only what was last put longer ago than a *grace period* is removed; a
writer that was asleep for so long puts it again, see :func:`ensure`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from ptutils.core.records.document import SIDECAR
from ptutils.core.records.identity import now
from ptutils.meta.codec import Buffer
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = [
    "DAMAGED",
    "GRACE_S",
    "Garbage",
    "collect",
    "drop_unneeded",
    "each_document",
    "ensure",
    "expect_run",
    "references",
    "run_arrived",
]

GRACE_S: Final = 3600.0
"""How long an artifact that nothing refers to is kept, in seconds."""

DAMAGED: Final = "damaged"
"""The collection of documents that cannot be loaded any more."""

_ORPHANS: Final = "orphans"
"""The collection that notes when parts of a run that is not here were first seen."""

_OF_RUNS: Final = ("checkpoints", "history")
_BULK: Final[dict[str, Document]] = {
    "checkpoints": {"state": 0},
    "history": {"steps": 0, "epochs": 0, "values": 0},
}
_PAGE: Final = 50


@dataclass(frozen=True, kw_only=True)
class Garbage:
    """What a cleaning removed.

    Attributes:
        artifacts: How many.
        documents: How many checkpoints and pieces of History whose run was gone.
        size_bytes: How much room that gave back.
    """

    artifacts: int
    documents: int
    size_bytes: int

    def __str__(self) -> str:
        if not self.artifacts and not self.documents and not self.size_bytes:
            return "There was nothing to remove."
        return (
            f"Removed {self.artifacts} artifacts and {self.documents} documents that "
            f"nothing needs; {self.size_bytes / 1e6:,.1f} MB are free again."
        )


def ensure(db: DBInterface, artifacts: Mapping[str, Buffer]) -> None:
    """Make sure that artifacts outlive the insertion of what refers to them.

    To be called within the transaction that inserts it. It costs one look-up, unless
    the writer has slept since it put them.

    Args:
        db: Where they were put.
        artifacts: By digest.
    """
    if not artifacts:
        return
    stored = db._stored(artifacts)
    oldest = now() - timedelta(seconds=GRACE_S / 2)
    again = [
        buffer
        for digest, buffer in artifacts.items()
        if digest not in stored or stored[digest].put < oldest
    ]
    if again:
        db._put(again)


def collect(db: DBInterface, grace_s: float = GRACE_S) -> Garbage:
    """Remove what nothing needs; writers may go on meanwhile.

    Args:
        db: Where.
        grace_s: For how long to keep what nothing refers to yet. Less than the default
            is safe only while nobody writes.
    """
    before = now() - timedelta(seconds=grace_s)
    documents = _remove_orphans(db, before)
    artifacts, size_bytes = drop_unneeded(db, None, before)
    return Garbage(artifacts=artifacts, documents=documents, size_bytes=size_bytes)


def drop_unneeded(
    db: DBInterface, digests: Iterable[str] | None, before: datetime
) -> tuple[int, int]:
    """Remove artifacts that no document refers to; return how many and their bytes.

    Args:
        db: Where.
        digests: Which of them; None looks at all.
        before: Those that were put later stay.
    """
    stored = db._stored(digests)
    old = {digest for digest, each in stored.items() if each.put < before}
    # In this order: what is repaired meanwhile moves to a collection read later.
    for collection in db._collections() if old else ():
        for document in each_document(db, collection, _BULK.get(collection)):
            old -= references(collection, document)
    size_bytes = db._drop(old, before)
    return len(old) - len(db._stored(old)), size_bytes


def references(collection: str, document: Document) -> set[str]:
    """Return the digests of the artifacts that a stored document needs."""
    found = set(_sidecar_references(document))
    if collection in ("checkpoints", DAMAGED):
        artifacts = document.get("artifacts")
        found.update(_digests(artifacts))
    return found


def expect_run(db: DBInterface, run_id: str) -> None:
    """Keep the parts of a run from being cleaned away, for the grace period.

    Its document comes after them; to be called again while they are still coming.
    """
    db._update(_ORPHANS, {"_id": run_id}, {"$set": {"seen": now()}}, upsert=True)


def run_arrived(db: DBInterface, run_id: str) -> bool:
    """Expect a run no longer; tell whether its parts were kept until now."""
    return bool(db._delete(_ORPHANS, {"_id": run_id}))


def each_document(
    db: DBInterface,
    collection: str,
    projection: Document | None = None,
    *,
    filter: Document | None = None,
) -> Iterator[Document]:
    """Yield all plain documents that are found, few of them at a time in memory.

    Where one is gone before it is read, those that came meanwhile are yielded, too:
    they may need what it needed.
    """
    seen: set[Value] = set()
    is_whole = False
    while not is_whole:
        found = db._find(collection, filter or {}, projection={"_id": 1})
        ids = [each["_id"] for each in found if each["_id"] not in seen]
        seen.update(ids)
        num_read = 0
        for start in range(0, len(ids), _PAGE):
            page: Document = {"_id": {"$in": ids[start : start + _PAGE]}}
            documents = db._find(collection, page, projection=projection)
            num_read += len(documents)
            yield from documents
        is_whole = num_read == len(ids)


def _sidecar_references(value: Value) -> Iterator[str]:
    if isinstance(value, dict):
        sidecar = value.get(SIDECAR)
        if isinstance(sidecar, dict):
            yield from _digests(sidecar.get("artifacts"))
        for inner in value.values():
            yield from _sidecar_references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _sidecar_references(inner)


def _digests(artifacts: Value) -> list[str]:
    if not isinstance(artifacts, list):
        return []
    return [item for item in artifacts if isinstance(item, str)]


def _remove_orphans(db: DBInterface, before: datetime) -> int:
    """Remove parts of runs that are not here, and were not when first missed.

    The document of a run that is being copied may come after its parts.
    """
    orphans = _runs_of_parts(db) - _ids(db, "runs")
    noted = {each["_id"]: each["seen"] for each in db._find(_ORPHANS, {})}
    db._delete(_ORPHANS, {"_id": {"$nin": list(orphans)}})
    for run_id in orphans - noted.keys():
        expect_run(db, run_id)
    old = [run_id for run_id, seen in noted.items() if seen <= before]
    return sum(_remove_parts(db, run_id, before) for run_id in orphans & {*old})


def _runs_of_parts(db: DBInterface) -> set[str]:
    return {
        part["run"]
        for collection in _OF_RUNS
        for part in db._find(collection, {}, projection={"run": 1})
    }


def _ids(db: DBInterface, collection: str) -> set[str]:
    return {each["_id"] for each in db._find(collection, {}, projection={"_id": 1})}


def _remove_parts(db: DBInterface, run_id: str, before: datetime) -> int:
    with db._transaction():
        # In this order: whoever brings the run looks last whether the note is there.
        if not db._delete(_ORPHANS, {"_id": run_id, "seen": {"$lte": before}}):
            return 0  # More parts have come meanwhile.
        if db._count("runs", {"_id": run_id}):  # It has come meanwhile.
            return 0
        return sum(db._delete(collection, {"run": run_id}) for collection in _OF_RUNS)
