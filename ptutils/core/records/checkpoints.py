"""The checkpoints of one run: all of them, the newest, the one at a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptutils.core.records.checkpoint import OLDEST_FIRST, STATE_HIDDEN, Checkpoint
from ptutils.errors import NotFoundError
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["checkpoint_at", "checkpoints_of", "place_of"]


def checkpoints_of(
    db: DBInterface,
    run_id: str,
    filter: Document | None = None,
    *,
    newest_first: bool = False,
    limit: int = 0,
) -> list[Checkpoint]:
    """Return the checkpoints of a run in the order in which they were taken.

    Args:
        db: Where they are.
        run_id: Whose.
        filter: Which of them; all by default.
        newest_first: Turn the order round.
        limit: How many at most; 0 means all.
    """
    sign = -1 if newest_first else 1
    found = db._find(
        "checkpoints",
        {"run": run_id, **(filter or {})},
        sort=[(path, sign) for path, _ in OLDEST_FIRST],
        limit=limit,
        projection=STATE_HIDDEN,
    )
    return [Checkpoint(db, document) for document in found]


def checkpoint_at(db: DBInterface, run_id: str, step: int) -> Checkpoint:
    """Return the newest checkpoint of a run that was taken at ``step``.

    Raises:
        NotFoundError: If there is none; the message lists the steps that have one.
    """
    found = checkpoints_of(db, run_id, {"step": step}, newest_first=True, limit=1)
    if found:
        return found[0]
    steps = sorted({checkpoint.step for checkpoint in checkpoints_of(db, run_id)})
    raise NotFoundError(
        f"run {run_id!r} has no checkpoint at step {step}",
        expected=f"one of the steps {', '.join(map(str, steps))}"
        if steps
        else "a run that was saved at least once",
        got=f"step {step}" if steps else "no checkpoint at all",
        fix="choose one of these, or save more often: schedule.checkpoint"
        if steps
        else "start anew from its config",
    )


def place_of(checkpoint: Checkpoint | None) -> Document:
    """Return the place in a run's History where a checkpoint was taken."""
    if checkpoint is None:
        return {"segment": 0, "chunks": 0}
    return {"segment": checkpoint.segment, "chunks": checkpoint.chunks}
