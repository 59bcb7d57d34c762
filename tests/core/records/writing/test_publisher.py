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
from ptutils.errors import DatabaseError, UnavailableError
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


def check_all(db: Any) -> int:
    """Read every checkpoint; return how many there are."""
    found = db.runs.find()[0].checkpoints
    for each in found:
        assert same(dict(each.state), state(each.step))
    return len(found)


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
        assert check_all(spill)


def taken(writer: Writer, *steps: int) -> list[Any]:
    """Take checkpoints that the background has not begun to write."""
    batch: list[Any] = []
    publisher = writer.recorder._publisher
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(publisher, "put", batch.append)
        for step in steps:
            more = {"epoch": 0, "why": "schedule", "metrics": {}, "elapsed_s": 1.0}
            writer.recorder.checkpoint(state(step), {"step": step, **more}, None)
    return batch


class OneByOne(MemoryInterface):
    """A database that takes no two checkpoints at once."""

    def _insert(self, collection: str, documents: Any) -> None:
        if collection == "checkpoints" and len(documents) > 1:
            raise DatabaseError("too large")
        super()._insert(collection, documents)


def test_checkpoints_that_cannot_be_written_together_are_written_alone() -> None:
    writer = Several(OneByOne())
    writer.create()
    writer.recorder._publisher._publish(taken(writer, 1, 2))
    check(writer.db, 1, 2)


class Picky(MemoryInterface):
    """A database that has no room for the checkpoint of step 2."""

    def _insert(self, collection: str, documents: Any) -> None:
        if collection == "checkpoints" and any(d["step"] == 2 for d in documents):
            raise DatabaseError("no room on the disk")
        super()._insert(collection, documents)


def test_checkpoint_that_cannot_be_written_keeps_no_other_back() -> None:
    writer = Several(Picky())
    writer.create()
    batch = taken(writer, 1, 2, 3)
    with pytest.raises(DatabaseError, match="no room on the disk"):
        writer.recorder._publisher._publish(batch)
    check(writer.db, 1, 3)


def test_database_that_fails_at_one_checkpoint_is_asked_for_no_other() -> None:
    first, second = MemoryInterface(), Distant()
    writer = Several(first, second)
    writer.create()
    batch = taken(writer, 1, 2)
    second.is_broken = True
    writer.recorder._publisher._publish(batch)
    check(first, 1, 2)


def test_spill_that_took_the_place_of_what_was_asked_first_gets_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    db = Distant(patience_s=0.0)
    writer = Several(db)
    writer.create()
    publisher = writer.recorder._publisher
    stage = publisher._staged

    def leaving(*arguments: Any) -> Any:
        staged = stage(*arguments)
        db.is_away = True
        writer.record(1)
        writer.recorder.beat()
        return staged

    monkeypatch.setattr(publisher, "_staged", leaving)
    publisher._publish(taken(writer, 1))
    db.is_away = False
    with spilled() as spill:
        check(spill, 1)


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


def publish_together(writer: Writer, *steps: int, spoiled: int = 0) -> None:
    """Let checkpoints be written as one batch, as where the disk is slow."""
    publisher: Any = writer.recorder._publisher
    taken: list[Any] = []
    put, publisher.put = publisher.put, taken.append
    for step in steps:
        writer.save(step, **state(step))
    publisher.put = put
    for each in taken:
        each.snapshot.is_spoiled = each.document["step"] == spoiled
    publisher._publish(taken)


def test_newest_that_was_given_up_is_missed_though_one_before_it_was_written() -> None:
    db = MemoryInterface()
    writer = saved(db)
    publish_together(writer, 3, 4, spoiled=4)
    check(db, 1, 2, 3)
    assert writer.recorder.lacks_newest


@pytest.mark.parametrize("verb", ["_put", "_stored"])
def test_spill_between_two_checkpoints_refers_to_nothing_elsewhere(verb: str) -> None:
    db = Distant(patience_s=0.0)
    writer = saved(db)

    def go_away(*arguments: Any) -> Any:
        db.is_away = True
        raise UnavailableError("nobody answers")

    setattr(db, verb, go_away)
    publish_together(writer, 3, 4)
    assert writer.recorder.lacks_newest
    with spilled() as spill:
        check_all(spill)
        writer.recorder.forget()
        writer.save(4, **state(4))
        assert not writer.recorder.lacks_newest
        check_all(spill)
        assert spill.runs.find()[0].newest().step == 4


def test_newest_that_waits_in_part_is_taken_whole_for_the_spill_of_the_end() -> None:
    db = Distant()
    writer = saved(db)
    db.is_away = True
    writer.save(3, **state(3))
    assert writer.recorder.lacks_newest
    writer.recorder.forget()
    writer.save(3, **state(3))
    assert not writer.recorder.lacks_newest
    db.patience_s = 0.0
    writer.end()
    with spilled() as spill:
        check_all(spill)
        assert spill.runs.find()[0].newest().step == 3


def test_checkpoint_that_waits_twice_is_written_once() -> None:
    db = Distant()
    writer = saved(db)
    db.is_away = True
    writer.save(3, **state(3))
    writer.save(3, **state(3))
    db.is_away = False
    writer.recorder.beat()
    check(db, 1, 2, 3)


def test_memory_that_is_handed_over_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = Several(Distant())
    writer.create()
    writers: Any = writer.recorder._writers
    (first,) = writers

    def leave(*arguments: Any, **options: Any) -> None:  # As another thread may.
        spill = writers._open_spill(first)
        writers._writers = [spill]

    with monkeypatch.context() as patch:
        patch.setattr(writers, "send", leave)
        writer.save(1, **state(1))
    assert writer.recorder._publisher._snapshots._free is None
    writer.recorder.beat()
    with spilled() as spill:
        check_all(spill)
