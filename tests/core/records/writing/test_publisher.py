"""What did not change is stored once, and stored again where it is no longer there."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

import ptutils
from ptutils.core.recording import Recording
from ptutils.db.memory import MemoryInterface
from ptutils.testing.sameness import same
from tests.core.records.writing.test_writers import Distant, Several, spilled
from tests.core.stored import Writer
from tests.core.test_overlap import session

FROZEN = torch.randn(400_000)


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def state(step: int) -> dict[str, Any]:
    return {"frozen": FROZEN, "trained": torch.full((5000,), float(step))}


def saved(*databases: Any) -> Writer:
    writer = Several(*databases)
    writer.create()
    for step in (1, 2):
        writer.save(step, **state(step))
    return writer


def check(db: Any, *steps: int) -> None:
    found = db.runs.find()[0].checkpoints
    assert [each.step for each in found] == list(steps)
    for each in found:
        assert same(dict(each.state), state(each.step))
    assert db.verify() == []


def test_checkpoints_share_what_did_not_change() -> None:
    db = MemoryInterface()
    saved(db)
    check(db, 1, 2)
    assert db.gc(0).artifacts == 0
    assert len(db._stored()) == 3


def test_checkpoint_is_given_up_when_what_it_counts_on_was_removed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    db = MemoryInterface()
    writer = saved(db)
    asked: list[Any] = []
    writer.recorder._asked = asked.append
    db.delete({}, "checkpoints")
    db.gc(0)
    with caplog.at_level(logging.WARNING, "ptutils"):
        assert writer.save(3, **state(3)) is None
    assert "the checkpoint of step 3 is given up" in caplog.text
    assert asked == [{"verb": "checkpoint"}]
    assert writer.recorder.lacks_newest
    writer.save(4, **state(4))
    assert not writer.recorder.lacks_newest
    check(db, 4)


def test_database_that_was_left_is_counted_on_no_longer() -> None:
    first, second = MemoryInterface(), Distant()
    writer = saved(first, second)
    second.is_broken = True
    writer.record(3)
    writer.recorder.beat()
    writer.save(3, **state(3))
    check(first, 1, 2, 3)


def test_spill_gets_whole_checkpoints_only() -> None:
    db = Distant(patience_s=0.0)
    writer = saved(db)
    db.is_away = True
    writer.save(3, **state(3))
    writer.save(4, **state(4))
    writer.save(5, **state(5))
    with spilled() as spill:
        found = spill.runs.find()[0].checkpoints
        assert found
        for each in found:
            assert same(dict(each.state), state(each.step))


def test_last_checkpoint_that_was_given_up_is_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = session()
    save = Recording.save

    def losing(recording: Recording, why: str, **options: Any) -> None:
        if why == "last":
            recording._recorder._publisher._snapshots.forget()  # type: ignore[union-attr]
            save(recording, why, **options)
            recording.flush()
            recording._recorder._publisher.lacks_newest = True  # type: ignore[union-attr]
            monkeypatch.setattr(Recording, "save", save)
        else:
            save(recording, why, **options)

    made.schedule = ptutils.Schedule("3 steps", checkpoint=None, validate=None)
    monkeypatch.setattr(Recording, "save", losing)
    run = made.run()
    assert run is not None
    newest = run.newest()
    assert newest is not None
    assert (newest.step, newest.why) == (3, "last")
    assert not made._recording._recorder.lacks_newest  # type: ignore[union-attr]
