"""Deleting a run with all that only it needs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ptutils.core.records.identity import is_expired, now
from ptutils.core.records.upkeep.garbage import GRACE_S, drop_unneeded, references
from ptutils.errors import DatabaseError, LeaseError

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["delete"]


def delete(db: DBInterface, run_id: str) -> None:
    """Delete a run, its checkpoints, its History, and artifacts that no other needs.

    The run's document goes first: whatever a crash leaves of the rest belongs to no run
    and is dropped when the database is cleaned, as are artifacts that were stored
    within the last hour: a process may be about to refer to them.

    Raises:
        NotFoundError: If there is no such run.
        LeaseError: If a process is writing it.
        DatabaseError: If one of its checkpoints is pinned.
    """
    digests = _digests(db, run_id)
    db._transact(lambda: _remove(db, run_id))
    db._delete("history", {"run": run_id})
    drop_unneeded(db, digests, now() - timedelta(seconds=GRACE_S))


def _remove(db: DBInterface, run_id: str) -> None:
    """Delete the run's document and its checkpoints, unless somebody needs them."""
    run = db._one("runs", {"_id": run_id})
    lease = run["lease"]
    if not is_expired(lease):
        raise LeaseError(
            f"cannot delete run {run_id!r}",
            expected="a run that no process is writing",
            got=f"process {lease['pid']} on {lease['host']} is writing it",
            fix="stop it first: ptutils stop " + run_id,
        )
    _require_unpinned(db, run_id)
    if not db._delete("runs", {"_id": run_id, "lease": lease}):
        raise LeaseError(
            f"cannot delete run {run_id!r}",
            expected="a run that no process is writing",
            got="one that another process took over or deleted at this moment",
            fix="look at it again: ptutils show " + run_id,
        )
    # A pin that comes later conflicts with this, or finds no checkpoint any more.
    db._delete("checkpoints", {"run": run_id, "pinned": {"$ne": True}})
    _require_unpinned(db, run_id)


def _require_unpinned(db: DBInterface, run_id: str) -> None:
    pinned = db._find(
        "checkpoints", {"run": run_id, "pinned": True}, projection={"step": 1}
    )
    if pinned:
        raise DatabaseError(
            f"cannot delete run {run_id!r}",
            expected="a run without pinned checkpoints",
            got="pins at the steps " + ", ".join(str(each["step"]) for each in pinned),
            fix=f"unpin them first: ptutils pin {run_id} --remove",
        )


def _digests(db: DBInterface, run_id: str) -> set[str]:
    wanted = [("runs", {"_id": run_id}), ("checkpoints", {"run": run_id})]
    return {
        digest
        for collection, filter in wanted
        for each in db._find(collection, filter, projection={"_id": 1})
        for document in db._find(collection, {"_id": each["_id"]})
        for digest in references(collection, document)
    }
