"""A run is deleted with all that only it needs, and never while it is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptutils
from ptutils.core.records.run import Run
from ptutils.core.records.upkeep import deletion
from ptutils.db.memory import MemoryInterface
from ptutils.errors import DatabaseError, LeaseError, NotFoundError
from tests.core.stored import Writer, killed

LARGE = 1 << 19
"""Numbers that make a State too large for its document."""


@pytest.fixture(params=["memory:", "runs.db"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    name = request.param
    return ptutils.connect(name if name == "memory:" else str(tmp_path / name))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a day pass after everything was stored."""
    moment = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(deletion, "now", lambda: moment)


def written(db: Any, *seeds: int, **fields: Any) -> Run:
    """Store a run that has ended, with an array of its own for each seed."""
    writer = Writer(db)
    writer.create()
    writer.record(1)
    for step, seed in enumerate(seeds):
        writer.save(step, array=np.full(LARGE, seed, dtype=np.int64))
    writer.end()
    (run,) = db.runs.find({"_id": writer.recorder.run_id})
    assert isinstance(run, Run)
    return run


@pytest.mark.usefixtures("later")
def test_deleted_run_leaves_nothing_but_what_others_need(db: Any) -> None:
    run, other = written(db, 1, 2), written(db, 2, 3)
    note = db.save({"array": np.full(LARGE, 1, dtype=np.int64)})
    run.delete()
    assert [each.id for each in db.runs.find()] == [other.id]
    assert {each["run"] for each in db._find("history", {})} == {other.id}
    assert [each.step for each in other.checkpoints] == [0, 1]
    assert [each.state["array"][0] for each in other.checkpoints] == [2, 3]
    assert db.load(note)["array"][0] == 1
    db.delete({}, "documents")
    other.delete()
    assert len(db._stored()) == 1  # What the note needed.


def test_what_was_stored_lately_is_left_for_a_cleaning(db: Any) -> None:
    written(db, 1).delete()
    assert len(db._stored()) == 1


def test_running_run_is_not_deleted(db: Any) -> None:
    writer = Writer(db)
    writer.create()
    with pytest.raises(LeaseError, match="cannot delete run") as held:
        db.runs.find()[0].delete()
    assert "is writing it" in held.value.got
    assert len(db.runs.find()) == 1


def test_run_whose_process_died_is_deleted(db: Any) -> None:
    writer = Writer(db)
    run_id = writer.create()
    killed(db, run_id)
    db.runs.find()[0].delete()
    assert len(db.runs.find()) == 0


def test_pinned_run_is_not_deleted_until_it_is_unpinned(db: Any) -> None:
    run = written(db, 1, 2)
    run.pin(1)
    with pytest.raises(DatabaseError, match="cannot delete run") as pinned:
        run.delete()
    assert pinned.value.got == "pins at the steps 1"
    assert f"ptutils pin {run.id} --remove" in pinned.value.fix
    run.unpin()
    run.delete()
    assert len(db.runs.find()) == 0


def test_run_that_is_gone_cannot_be_deleted(db: Any) -> None:
    run = written(db)
    run.delete()
    with pytest.raises(NotFoundError, match="found no document in 'runs'"):
        run.delete()


class TakenOver(MemoryInterface):
    """Where another process is faster."""

    def _delete(self, collection: str, filter: Any) -> int:
        return 0


def test_run_that_is_taken_over_at_this_moment_is_not_deleted() -> None:
    run = written(TakenOver())
    with pytest.raises(LeaseError, match="cannot delete run") as held:
        run.delete()
    assert "at this moment" in held.value.got


class Pinning(MemoryInterface):
    """Where somebody pins a checkpoint after the look for pins."""

    is_asked = False

    def _delete(self, collection: str, filter: Any) -> int:
        count = super()._delete(collection, filter)
        if collection == "runs" and not self.is_asked:
            self.is_asked = True
            self._update("checkpoints", {"step": 1}, {"$set": {"pinned": True}})
        return count


def test_run_that_is_pinned_at_this_moment_is_not_deleted() -> None:
    run = written(Pinning(), 1, 2)
    with pytest.raises(DatabaseError, match="cannot delete run") as pinned:
        run.delete()
    assert pinned.value.got == "pins at the steps 1"
    assert [each.step for each in run.checkpoints] == [0, 1]
    run.delete()  # What a transaction did is undone, here the pin with it.
    assert len(run.db.runs.find()) == 0
