"""What people put on a run: tags, notes, pins, and whether it is out of sight.

Each is one atomic change of one document, which a process that writes the run neither
notices nor undoes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptutils.errors import NotFoundError, QueryError
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface
    from ptutils.core.records.checkpoint import Checkpoint

__all__ = ["pin", "relabel", "tag", "unpin", "untag"]


def tag(db: DBInterface, run_id: str, words: Sequence[str]) -> None:
    """Add words to a run's tags; those that it has already stay where they are."""
    _require_words(run_id, words)
    relabel(db, run_id, {"$addToSet": {"tags": {"$each": list(words)}}})


def untag(db: DBInterface, run_id: str, words: Sequence[str]) -> None:
    """Take words from a run's tags; those that it has not are passed over."""
    _require_words(run_id, words)
    relabel(db, run_id, {"$pull": {"tags": {"$in": list(words)}}})


def relabel(db: DBInterface, run_id: str, update: Document) -> None:
    """Change the labels of a run.

    Raises:
        NotFoundError: If the run is gone.
    """
    if not db._update("runs", {"_id": run_id}, update):
        raise NotFoundError(
            f"run {run_id!r} is not in {db.url}",
            expected="a run that was not deleted",
            got="no such run",
            fix="list the runs with: ptutils ls",
        )


def pin(db: DBInterface, run_id: str, checkpoint: Checkpoint | None) -> None:
    """Let a checkpoint stay whatever the schedule says.

    Raises:
        NotFoundError: If there is none, or it was dropped meanwhile.
    """
    wanted = {"_id": checkpoint.id} if checkpoint else {}
    change = {"$set": {"pinned": True}}
    if not (wanted and db._update("checkpoints", wanted, change)):
        raise NotFoundError(
            f"run {run_id!r} has no such checkpoint to pin",
            expected="a checkpoint that is there",
            got="none" if checkpoint is None else f"{checkpoint.id}, which was dropped",
            fix="pin another one, or save one first",
        )


def unpin(db: DBInterface, run_id: str, step: int | None) -> None:
    """Let the schedule drop the checkpoints of a step, or all, again."""
    wanted: Document = {"run": run_id, "pinned": True}
    if step is not None:
        wanted["step"] = step
    db._update("checkpoints", wanted, {"$set": {"pinned": False}}, many=True)


def _require_words(run_id: str, words: Sequence[str]) -> None:
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise QueryError(
                "cannot tag a run with this",
                expected="words",
                got=repr(word),
                fix=f"ptutils tag {run_id} best, or run.tag('best')",
            )
