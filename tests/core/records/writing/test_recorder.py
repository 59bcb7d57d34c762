"""One writer per run; what it was given is in the database, or waits to get there."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ptutils.core.records.identity import new_lease
from ptutils.core.records.run import place_of
from ptutils.core.records.writing.recorder import Recorder
from ptutils.db.memory import MemoryInterface
from ptutils.errors import DatabaseError, EncodeError, LeaseError, NotFoundError
from tests.core.stored import ENCODED, FIELDS, Writer, killed, steps_of


class Failing(MemoryInterface):
    """Fails at the next insertion into one collection, once."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = ""

    def _insert(self, collection: str, documents: Any) -> None:
        if collection == self.fails:
            self.fails = ""
            raise DatabaseError("cannot use this database", got="a hiccup")
        super()._insert(collection, documents)


@pytest.fixture
def writer() -> Writer:
    writer = Writer(Failing())
    writer.create()
    return writer


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the heart beat fast."""
    monkeypatch.setattr("ptutils.core.records.writing.heartbeat._BEAT_S", 0.005)


def stored(writer: Writer) -> list[int]:
    return steps_of(writer.db.runs.find()[0].history)


def document_of(writer: Writer) -> dict[str, Any]:
    (document,) = writer.db._find("runs", {})
    return document


def until(happened: Callable[[], object]) -> None:
    waiting = threading.Event()
    for _ in range(2000):
        if happened():
            return
        waiting.wait(0.005)
    raise AssertionError("it never happened")


def test_new_run_is_held_by_its_writer(writer: Writer) -> None:
    document = document_of(writer)
    assert document["_id"] == writer.recorder.run_id
    assert document["lease"]["owner"] == writer.recorder._owner
    assert document["segments"] == [{"start": None}]
    assert document["format"] == 2
    assert document["config"]["betas"] == [0.9, 0.99]
    assert {name: document[name] for name in FIELDS} == FIELDS


def test_beat_writes_points_status_and_summary_and_renews_the_lease(
    writer: Writer,
) -> None:
    before = document_of(writer)["lease"]["expires"]
    writer.record(1, 2)
    writer.status.advance(2, 0, 0.5)
    until(lambda: new_lease("")["expires"] > before)
    writer.recorder.beat()
    document = document_of(writer)
    assert stored(writer) == [1, 2]
    assert document["lease"]["expires"] > before
    assert document["status"]["progress"]["step"] == 2
    assert document["summary"]["loss"]["last"] == 0.5


def test_beat_without_new_points_writes_no_chunk(writer: Writer) -> None:
    writer.recorder.beat()
    assert writer.db._count("history", {}) == 0


def test_finished_run_is_held_by_nobody_and_whole(writer: Writer) -> None:
    writer.record(1, 2, 3)
    writer.end()
    document = document_of(writer)
    assert document["lease"] is None
    assert document["status"]["phase"] == "completed"
    assert stored(writer) == [1, 2, 3]


def test_points_that_could_not_be_written_are_written_next_time(
    writer: Writer,
) -> None:
    writer.record(1, 2)
    writer.recorder.beat()
    writer.record(3)
    writer.db.fails = "history"
    with pytest.raises(DatabaseError, match="a hiccup"):
        writer.recorder.beat()
    assert stored(writer) == [1, 2]
    writer.record(4)
    writer.recorder.beat()
    assert stored(writer) == [1, 2, 3, 4]


def test_checkpoint_that_could_not_be_written_takes_no_points_along(
    writer: Writer,
) -> None:
    writer.record(1, 2)
    writer.db.fails = "checkpoints"
    with pytest.raises(DatabaseError, match="a hiccup"):
        writer.save(2)
    assert stored(writer) == []
    assert not writer.db.runs.find()[0].checkpoints
    writer.record(3)
    writer.save(3)
    run = writer.db.runs.find()[0]
    assert steps_of(run.history_until(run.newest())) == [1, 2, 3]


def test_run_that_could_not_be_written_is_not_there() -> None:
    writer = Writer(Failing())
    writer.db.fails = "runs"
    with pytest.raises(DatabaseError, match="a hiccup"):
        writer.create()
    assert writer.db._count("runs", {}) == 0


def test_same_checkpoint_again_replaces_the_first(writer: Writer) -> None:
    writer.save(0, "manual", value=1)
    writer.save(0, "manual", value=2)
    (checkpoint,) = writer.db.runs.find()[0].checkpoints
    assert checkpoint.state.value == 2


def test_checkpoints_that_are_not_retained_are_deleted(writer: Writer) -> None:
    for step in (1, 2, 3):
        writer.save(step)
    seen: list[int] = []

    def retained(stored: list[dict[str, Any]]) -> set[str]:
        seen.extend(document["step"] for document in stored)
        return {stored[-1]["_id"]}

    writer.prune(retained)
    assert seen == [1, 2, 3]
    assert [each.step for each in writer.db.runs.find()[0].checkpoints] == [3]
    writer.prune(retained)
    assert writer.db._count("checkpoints", {}) == 1


def test_pruning_leaves_other_runs_alone(writer: Writer) -> None:
    writer.save(1)
    other = Writer(writer.db)
    other.create()
    other.save(1)
    writer.prune(lambda stored: set())
    assert [d["run"] for d in writer.db._find("checkpoints", {})] == [
        other.recorder.run_id
    ]


def test_run_that_lives_cannot_be_taken_over(writer: Writer) -> None:
    other = Recorder([writer.db], writer.history, writer.status.state_dict, "other")
    with pytest.raises(LeaseError, match=r"is writing it; its lease holds until") as e:
        other.acquire(writer.recorder.run_id, {}, ENCODED, place_of(None))
    assert "branch the run instead" in e.value.fix
    assert document_of(writer)["lease"]["owner"] == writer.recorder._owner


def test_owner_of_a_run_may_take_it_over_from_itself(writer: Writer) -> None:
    writer.record(1)
    status, owner = writer.status.state_dict, writer.recorder._owner
    again = Recorder([writer.db], writer.history, status, owner)
    again.acquire(writer.recorder.run_id, {}, ENCODED, place_of(None))
    again.beat()
    assert stored(writer) == [1]


def test_dead_run_is_taken_over_and_its_first_writer_learns_of_it(
    writer: Writer,
) -> None:
    writer.record(1)
    run_id = writer.recorder.run_id
    killed(writer.db, run_id)
    other = Writer(writer.db)
    other.recorder.acquire(run_id, {}, ENCODED, place_of(None))
    assert document_of(writer)["segments"] == [
        {"start": None},
        {"start": {"segment": 0, "chunks": 0}},
    ]
    with pytest.raises(LeaseError, match="another process took the run over"):
        writer.recorder.beat()
    assert stored(writer) == []


def test_deleted_run_can_neither_be_written_nor_taken_over(writer: Writer) -> None:
    writer.db.delete({}, "runs")
    with pytest.raises(NotFoundError, match="is not in the database"):
        writer.recorder.beat()
    with pytest.raises(NotFoundError, match="is not in the database"):
        writer.recorder.acquire(writer.recorder.run_id, {}, ENCODED, place_of(None))


def test_run_that_has_ended_is_not_written_any_more(writer: Writer) -> None:
    writer.end()
    with pytest.raises(LeaseError, match="the run has ended"):
        writer.save(1)


def test_value_that_is_no_number_costs_no_other_point(writer: Writer) -> None:
    writer.record(1)
    writer.history.record(1, 0, "words", "many")
    with pytest.raises(EncodeError, match="cannot read one number from this value"):
        writer.recorder.beat()
    writer.record(2)
    writer.end()
    assert stored(writer) == [1, 2]


def test_int_that_no_database_keeps_is_exact_in_history_and_compares_in_the_summary(
    writer: Writer,
) -> None:
    values = [10**20, -(10**400), 10**400]
    for value in values:
        writer.history.record(1, 0, "flops", value)
    writer.end()
    run = writer.db.runs.find({"summary.flops.first": {"$gt": 1e19}})[0]
    assert list(run.history["flops"].values) == values
    assert (run.summary.flops.first, run.summary.flops.min) == (1e20, -math.inf)
    assert run.summary.flops.max == math.inf


@pytest.mark.usefixtures("fast")
def test_heart_writes_points_while_the_block_runs(writer: Writer) -> None:
    with writer.recorder.beating(pytest.fail):
        writer.record(1, 2)
        until(lambda: writer.db._count("history", {}))
    assert stored(writer) == [1, 2]
    assert not [t for t in threading.enumerate() if t.name == "ptutils-heartbeat"]


@pytest.mark.usefixtures("fast")
def test_heart_of_a_long_run_writes_points_less_often(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptutils.core.records.writing.heartbeat._BEHIND", 1000.0)
    before = document_of(writer)
    with writer.recorder.beating(pytest.fail):
        writer.record(1, 2)
        writer.status.advance(2, 0)
        until(lambda: document_of(writer)["status"]["progress"]["step"] == 2)
        after = document_of(writer)
        assert after["lease"]["expires"] > before["lease"]["expires"]
        # What a reader sees is of one moment: neither the points nor what they sum to.
        assert (stored(writer), after["summary"]) == ([], {})
        writer.save(2)
        assert stored(writer) == [1, 2]
        assert document_of(writer)["summary"]["loss"]["last_step"] == 2
        writer.record(3)
    writer.end()
    assert stored(writer) == [1, 2, 3]


@pytest.mark.usefixtures("fast")
def test_fault_of_the_heart_is_told_and_raised_by_the_next_checkpoint_once(
    writer: Writer,
) -> None:
    reasons: list[str] = []
    writer.record(1)
    writer.db.fails = "history"
    with writer.recorder.beating(reasons.append):
        until(lambda: reasons)
    (reason,) = reasons
    assert "a hiccup" in reason
    with pytest.raises(DatabaseError, match="a hiccup"):
        writer.save(1)
    writer.save(1)
    assert stored(writer) == [1]


@pytest.mark.usefixtures("fast")
def test_heart_that_lost_the_run_tells_so(writer: Writer) -> None:
    reasons: list[str] = []
    with writer.recorder.beating(reasons.append):
        change = {"$set": {"lease.owner": "somebody"}}
        writer.db.update({}, change, collection="runs")
        until(lambda: reasons)
    assert "another process took the run over" in reasons[0]
    with pytest.raises(LeaseError, match="another process took the run over"):
        writer.recorder.raise_fault()
    writer.recorder.raise_fault()


def test_checkpoints_are_of_their_moment_though_everything_changes_at_once(
    writer: Writer,
) -> None:
    weights, numbers, text = torch.zeros(50), np.zeros(50), bytearray(50)
    state = {"weights": weights, "numbers": numbers, "text": text, "list": [0]}
    fields = {"epoch": 0, "why": "schedule", "metrics": {}, "elapsed_s": 0.0}
    for step in range(1000):
        writer.recorder.checkpoint(state, {"step": step, **fields}, None)
        weights += 1
        numbers += 1
        text[0] = (step + 1) % 256
        state["list"][0] = step + 1
    writer.recorder.flush()
    found = writer.db.runs.find()[0].checkpoints
    assert len(found) == 1000
    for step, each in enumerate(found):
        taken = each.state
        assert taken.weights.eq(step).all()
        assert (taken.numbers == step).all()
        assert (taken.text[0], taken["list"]) == (step % 256, [step])


def test_large_checkpoint_is_of_its_moment_too(writer: Writer) -> None:
    weights = torch.zeros(1_000_000)
    fields = {"epoch": 0, "why": "schedule", "metrics": {}, "elapsed_s": 0.0}
    for step in range(5):
        writer.recorder.checkpoint({"w": weights}, {"step": step, **fields}, None)
        weights += 1
    writer.recorder.flush()
    for step, each in enumerate(writer.db.runs.find()[0].checkpoints):
        assert each.state.w.eq(step).all()


def test_checkpoint_that_failed_is_told_at_the_next(writer: Writer) -> None:
    fields = {"step": 1, "epoch": 0, "why": "last", "metrics": {}, "elapsed_s": 0.0}
    writer.db.fails = "checkpoints"
    writer.recorder.checkpoint({}, fields, None)
    writer.recorder._publisher._saver._changed.acquire()
    saver = writer.recorder._publisher._saver
    saver._changed.wait_for(lambda: not saver._in_flight)
    saver._changed.release()
    with pytest.raises(DatabaseError, match="a hiccup"):
        writer.recorder.checkpoint({}, fields, None)
    assert writer.save(2)["step"] == 2


def test_run_whose_last_checkpoint_failed_is_not_over(writer: Writer) -> None:
    fields = {"step": 1, "epoch": 0, "why": "last", "metrics": {}, "elapsed_s": 0.0}
    writer.db.fails = "checkpoints"
    writer.recorder.checkpoint({}, fields, None)
    with pytest.raises(DatabaseError, match="a hiccup"):
        writer.end()
    assert document_of(writer)["lease"] is not None
