"""Deleting a run with all that only it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptutils.core.records.identity import is_expired
from ptutils.errors import DatabaseError, LeaseError

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["delete"]


def delete(db: DBInterface, run_id: str) -> None:
    """Delete a run, its checkpoints, its History, and artifacts that no other needs.

    The run's document goes first: whatever a crash leaves of the rest belongs to no run
    and is dropped when the database is cleaned.

    Raises:
        NotFoundError: If there is no such run.
        LeaseError: If a process is writing it.
        DatabaseError: If one of its checkpoints is pinned.
    """
    lease = db._one("runs", {"_id": run_id})["lease"]
    if not is_expired(lease):
        raise LeaseError(
            f"cannot delete run {run_id!r}",
            expected="a run that no process is writing",
            got=f"process {lease['pid']} on {lease['host']} is writing it",
            fix="stop it first: ptutils stop " + run_id,
        )
    pinned = db._find(
        "checkpoints", {"run": run_id, "pinned": True}, projection={"step": 1}
    )
    if pinned:
        raise DatabaseError(
            f"cannot delete run {run_id!r}",
            expected="a run without pinned checkpoints",
            got="pins at the steps " + ", ".join(str(each["step"]) for each in pinned),
            fix="unpin them first: run.unpin()",
        )
    if not db._delete("runs", {"_id": run_id, "lease": lease}):
        raise LeaseError(
            f"cannot delete run {run_id!r}",
            expected="a run that no process is writing",
            got="one that another process took over or deleted at this moment",
            fix="look at it again: ptutils show " + run_id,
        )
    for collection in ("checkpoints", "history"):
        db._delete(collection, {"run": run_id})
