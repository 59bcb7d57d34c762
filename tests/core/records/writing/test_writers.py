"""A run in several databases, and in one that is out of reach for a while."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import ptutils
from ptutils.core.records.identity import is_expired, new_lease
from ptutils.core.records.run import place_of
from ptutils.core.records.writing.recorder import Recorder
from ptutils.core.records.writing.writer import Entry
from ptutils.db.memory import MemoryInterface
from ptutils.errors import (
    DatabaseError,
    EncodeError,
    LeaseError,
    UnavailableError,
)
from tests.core.experiment import config
from tests.core.stored import ENCODED, Writer, killed, steps_of


class Distant(MemoryInterface):
    """A database that may be out of reach, or refuse to be written."""

    def __init__(self, patience_s: float = 60.0) -> None:
        super().__init__()
        self.patience_s = patience_s
        self.is_away = False
        self.is_broken = False
        self.loses_answer = ""
        self._ends = False

    @property
    def url(self) -> str:
        return "distant:"

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._answer()
        with super()._transaction():
            yield
        if self._depth:
            return
        if self.loses_answer == "next" or (self.loses_answer == "last" and self._ends):
            self.loses_answer = ""
            raise UnavailableError("the answer was lost")

    def _find(self, *arguments: Any, **options: Any) -> Any:
        self._answer()
        return super()._find(*arguments, **options)

    def _update(self, *arguments: Any, **options: Any) -> int:
        self._answer()
        self._ends = arguments[2]["$set"].get("lease", "") is None
        return super()._update(*arguments, **options)

    def _put(self, artifacts: Any) -> list[str]:
        self._answer()
        return super()._put(artifacts)

    def _answer(self) -> None:
        if self.is_away:
            raise UnavailableError("nobody answers")
        if self.is_broken:
            raise DatabaseError("no room on the disk")


class Several(Writer):
    """A recorder on several databases."""

    def __init__(self, *databases: Any) -> None:
        super().__init__(databases[0])
        self.recorder = Recorder(
            databases, self.history, self.status.state_dict, self.recorder._owner
        )


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def away() -> Iterator[Writer]:
    """A run whose database went out of reach after its first point."""
    writer = Writer(Distant())
    writer.create()
    writer.record(1)
    writer.recorder.beat()
    writer.db.is_away = True
    yield writer
    writer.db.is_away = False


def run_in(db: Any) -> Any:
    (run,) = db.runs.find()
    return run


def spilled() -> Any:
    (path,) = Path().glob("spill-*.db")
    return ptutils.connect(str(path))


def test_points_wait_for_a_database_that_is_away(away: Writer) -> None:
    away.record(2)
    away.recorder.beat()
    away.record(3)
    away.recorder.beat()
    away.db.is_away = False
    away.record(4)
    away.recorder.beat()
    assert steps_of(run_in(away.db).history) == [1, 2, 3, 4]


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_checkpoint_waits_as_it_was_when_it_was_taken(away: Writer, size: int) -> None:
    weights = torch.zeros(size)
    away.save(2, weights=weights)
    weights += 1
    away.recorder.beat()
    away.db.is_away = False
    away.recorder.beat()
    (checkpoint,) = run_in(away.db).checkpoints
    assert checkpoint.state.weights.sum() == 0


def test_checkpoint_with_a_config_of_its_own_waits_too(away: Writer) -> None:
    fields = {"step": 2, "epoch": 0, "why": "manual", "metrics": {}, "elapsed_s": 1.0}
    away.checkpoint({}, fields, {"betas": (1, 2)})
    away.db.is_away = False
    away.recorder.beat()
    (checkpoint,) = run_in(away.db).checkpoints
    assert checkpoint.config == {"betas": (1, 2)}


def test_write_whose_answer_was_lost_is_repeated_without_a_trace(
    away: Writer,
) -> None:
    away.db.is_away = False
    away.record(2)
    away.db.loses_answer = "next"
    away.recorder.beat()
    away.record(3)
    away.recorder.beat()
    assert steps_of(run_in(away.db).history) == [1, 2, 3]


def test_end_whose_answer_was_lost_is_an_end(away: Writer) -> None:
    away.db.is_away = False
    away.db.loses_answer = "last"
    away.end()
    assert run_in(away.db).status.phase == "completed"


def test_database_that_is_away_is_not_asked_to_prune(away: Writer) -> None:
    away.save(2)
    away.prune(lambda stored: pytest.fail("it was asked"))


def test_end_waits_until_the_database_is_back(
    away: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def come_back(seconds: float) -> None:
        away.db.is_away = False

    monkeypatch.setattr(time, "sleep", come_back)
    away.record(2)
    away.end()
    run = run_in(away.db)
    assert (run.status.phase, steps_of(run.history)) == ("completed", [1, 2])


def test_run_goes_on_in_a_spill_when_its_last_database_is_away_too_long(
    away: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    away.db.patience_s = 0.0
    asked: list[Any] = []
    away.recorder._asked = asked.append
    away.record(2)
    away.recorder.beat()
    away.record(3)
    away.save(3)
    run = run_in(spilled())
    assert asked == [{"verb": "checkpoint"}]
    assert run.document["spilled_from"] == "distant:"
    assert run.newest().state.step == 3
    assert "ptutils import" in caplog.text
    (fault,) = run.document["faults"]
    assert (fault["database"], fault["lost_points"]) == ("distant:", 0)


def test_spill_brings_back_the_whole_run(away: Writer) -> None:
    away.db.patience_s = 0.0
    away.record(2)
    away.save(2)
    away.record(3)
    away.end()
    away.db.is_away = False
    killed(away.db, away.recorder.run_id)
    away.db.import_runs(spilled())
    run = run_in(away.db)
    assert steps_of(run.history) == [1, 2, 3]
    assert run.status.phase == "completed"
    assert run.newest().state.step == 2
    assert "spilled_from" not in run.document


def test_run_spills_under_a_name_that_is_free(
    away: Writer, working_folder: Path
) -> None:
    away.db.patience_s = 0.0
    taken = working_folder / f"spill-{away.recorder.run_id}.db"
    taken.write_text("another's")
    away.end()
    assert taken.read_text() == "another's"
    assert (working_folder / f"spill-{away.recorder.run_id}-2.db").exists()


def test_too_much_that_waits_is_spilled(
    away: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptutils.core.records.writing.writer.MOST_WAITING_BYTES", 1000)
    away.save(2, weights=torch.ones(10))
    away.save(3, weights=torch.ones(1000))
    assert [c.step for c in run_in(spilled()).checkpoints] == [2, 3]


def test_database_that_another_thread_left_is_left_once(away: Writer) -> None:
    away.db.patience_s = 0.0
    writers = away.recorder._writers
    (first,) = writers
    away.recorder.beat()
    with writers.guarding(first):
        raise UnavailableError("nobody answers")
    assert len(list(Path().glob("spill-*.db"))) == 1


def test_every_database_is_written(caplog: pytest.LogCaptureFixture) -> None:
    first, second = MemoryInterface(), MemoryInterface()
    writer = Several(first, second)
    writer.create()
    writer.record(1, 2)
    writer.save(2)
    writer.end()
    assert first._find("history", {}) == second._find("history", {})
    assert first._find("checkpoints", {}) == second._find("checkpoints", {})
    assert run_in(first).document == run_in(second).document
    assert not caplog.text


@pytest.mark.parametrize("kind", ["is_away", "is_broken"])
def test_database_that_fails_is_reported_and_left(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Distant(patience_s=0.0), MemoryInterface()
    writer = Several(first, second)
    writer.create()
    setattr(first, kind, True)
    writer.record(1, 2)
    writer.save(2)
    writer.end()
    run = run_in(second)
    assert steps_of(run.history) == [1, 2]
    assert run.status.phase == "completed"
    assert run.document["faults"][0]["database"] == "distant:"
    assert "the run goes on without it" in caplog.text
    assert writer.recorder.db is second


def test_points_that_a_database_misses_are_counted() -> None:
    first, second = Distant(), MemoryInterface()
    writer = Several(first, second)
    writer.create()
    first.is_away = True
    writer.record(1, 2, 3)
    writer.recorder.beat()
    first.patience_s = 0.0
    writer.recorder.beat()
    assert run_in(second).document["faults"][0]["lost_points"] == 3


def test_second_database_that_cannot_be_opened_is_left() -> None:
    first, second = MemoryInterface(), Distant()
    second.is_broken = True
    writer = Several(first, second)
    writer.create()
    writer.end()
    (fault,) = run_in(first).document["faults"]
    assert (fault["database"], fault["what"]) == ("distant:", "no room on the disk")


def test_first_database_that_cannot_be_opened_is_an_error() -> None:
    first = Distant()
    first.is_broken = True
    with pytest.raises(DatabaseError, match="no room on the disk"):
        Several(first, MemoryInterface()).create()


@pytest.mark.parametrize(
    ("state", "config"), [({"value": object()}, None), ({}, {"value": object()})]
)
def test_value_that_cannot_be_stored_is_an_error_with_several_databases(
    state: Any, config: Any
) -> None:
    writer = Several(MemoryInterface(), MemoryInterface())
    writer.create()
    fields = {"step": 1, "epoch": 0, "why": "manual", "metrics": {}, "elapsed_s": 1.0}
    with pytest.raises(EncodeError):
        writer.checkpoint(state, fields, config)
    assert len(list(writer.recorder._writers)) == 2


def test_databases_are_let_go_of_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = MemoryInterface(), Distant()
    writer = Several(first, second)
    writer.create()
    second.is_away = True

    def come_back(seconds: float) -> None:
        second.is_away = False

    monkeypatch.setattr(time, "sleep", come_back)
    writer.end()
    assert run_in(first).document == run_in(second).document


def test_write_that_another_holds_up_is_left_to_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ptutils.core.records.writing.writer._STALL_S", 0.01)
    writer = Writer()
    writer.create()
    (first,) = writer.recorder._writers
    with first._writing:
        writer.save(1)
        assert not run_in(writer.db).checkpoints
    writer.recorder.beat()
    assert run_in(writer.db).newest().step == 1


def test_run_that_is_taken_over_in_its_first_database_ends() -> None:
    first, second = MemoryInterface(), MemoryInterface()
    writer = Several(first, second)
    run_id = writer.create()
    killed(first, run_id)
    Writer(first).recorder.acquire(run_id, {}, ENCODED, place_of(None))
    with pytest.raises(LeaseError, match="another process took the run over"):
        writer.recorder.beat()


def test_further_database_where_the_run_is_taken_over_is_left() -> None:
    first, second = MemoryInterface(), MemoryInterface()
    writer = Several(first, second)
    run_id = writer.create()
    killed(second, run_id)
    Writer(second).recorder.acquire(run_id, {}, ENCODED, place_of(None))
    writer.record(1)
    writer.end()
    run = run_in(first)
    assert (steps_of(run.history), run.status.phase) == ([1], "completed")
    assert "another process took the run over" in run.document["faults"][0]["what"]


def test_run_that_is_further_in_another_database_is_not_taken_back() -> None:
    first, second = Distant(patience_s=0.0), MemoryInterface()
    writer = Several(first, second)
    run_id = writer.create()
    writer.save(1)
    first.is_broken = True
    writer.save(2)
    writer.end()
    first.is_broken = False
    killed(first, run_id)
    again = Several(first, second)
    with pytest.raises(DatabaseError, match="a newer one in memory:") as caught:
        again.recorder.acquire(run_id, {}, ENCODED, place_of(None))
    assert f"ptutils import memory: --where 'id = {run_id}'" in caught.value.fix


def test_database_that_cannot_be_asked_how_far_a_run_is_is_left() -> None:
    first, second = MemoryInterface(), Distant()
    ended = Writer(first)
    run_id = ended.create()
    ended.end()
    second.is_broken = second.is_away = True
    writer = Several(first, second)
    writer.recorder.acquire(run_id, {}, ENCODED, place_of(None))
    writer.end()
    assert run_in(first).document["faults"][0]["database"] == "distant:"


def test_run_that_spills_at_its_end_is_let_go_of(away: Writer) -> None:
    away.db.patience_s = 0.0
    away.end()
    run = run_in(spilled())
    assert (run.document["lease"], run.status.phase) == (None, "completed")


def test_checkpoint_that_was_staged_before_is_whole_in_the_spill(
    away: Writer,
) -> None:
    away.db.is_away = False
    away.db.patience_s = 0.0
    put = away.db._put

    def put_and_go(artifacts: Any) -> list[str]:
        digests = put(artifacts)
        away.db.is_away = True
        return digests

    away.db._put = put_and_go
    away.save(2, weights=torch.ones(1_000_000))
    assert run_in(spilled()).newest().state.weights.sum() == 1_000_000


def test_call_that_nobody_answers_holds_up_no_other_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ptutils.core.records.writing.writer._STALL_S", 0.01)
    db = Distant(patience_s=0.0)
    writer = Writer(db)
    writer.create()
    (first,) = writer.recorder._writers
    with first._writing:  # As the background holds it while it waits.
        writer.save(1)
        writer.end()
    run = run_in(spilled())
    assert (run.newest().step, run.status.phase) == (1, "completed")


def test_resumed_run_brings_its_other_databases_up_to_the_first() -> None:
    first, second = MemoryInterface(), MemoryInterface()
    alone = Writer(first)
    run_id = alone.create()
    alone.record(1)
    alone.save(1)
    alone.end()
    writer = Several(first, second)
    start = place_of(run_in(first).newest())
    writer.recorder.acquire(run_id, {}, ENCODED, start)
    writer.record(2)
    writer.end()
    assert run_in(first).document == run_in(second).document
    assert steps_of(run_in(second).history) == [1, 2]


def test_request_is_passed_on_once_and_cleared() -> None:
    writer = Writer()
    writer.create()
    asked: list[Any] = []
    writer.recorder._asked = asked.append
    run_in(writer.db).stop("enough")
    writer.recorder.beat()
    writer.recorder.beat()
    (request,) = asked
    assert (request["verb"], request["reason"]) == ("stop", "enough")
    assert run_in(writer.db).document["request"] is None


def test_database_that_is_away_is_not_asked_for_requests(away: Writer) -> None:
    away.recorder._asked = pytest.fail
    away.recorder.beat()
    away.recorder.beat()


def test_warning_goes_to_the_log_of_the_package(
    away: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    away.db.patience_s = 0.0
    away.recorder.beat()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("ptutils", logging.WARNING)


def test_run_in_a_spill_is_held_by_its_writer(away: Writer) -> None:
    away.db.patience_s = 0.0
    away.recorder.beat()
    assert not is_expired(run_in(spilled()).document["lease"])


class Contended(MemoryInterface):
    """Lets another process take the run over just before this one does."""

    theirs: Any = None

    def _find(self, *arguments: Any, **options: Any) -> Any:
        found = super()._find(*arguments, **options)
        super()._update("runs", {}, {"$set": {"lease": self.theirs}})
        return found


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        (new_lease, "is writing it; its lease holds until"),
        (str, "took over at this moment, and let go of since"),
    ],
)
def test_of_two_that_take_a_run_over_at_once_one_is_refused(
    theirs: Any, told: str
) -> None:
    db = Contended()
    db.theirs = theirs("another")
    ended = Writer(db)
    run_id = ended.create()
    ended.end()
    with pytest.raises(LeaseError, match=told):
        Writer(db).recorder.acquire(run_id, {}, ENCODED, place_of(None))


def test_lease_of_a_run_that_was_cleared_by_hand_is_an_error() -> None:
    writer = Writer()
    writer.create()
    writer.db.update({}, {"$set": {"lease": None}}, collection="runs")
    with pytest.raises(LeaseError, match="the run has ended"):
        writer.recorder.beat()


def test_writer_that_slept_stores_its_artifacts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    db = MemoryInterface()
    writer = Writer(db)
    writer.create()
    send = writer.recorder._writers.send

    def sleep(*arguments: Any, **options: Any) -> None:
        (entry,) = [e for w in writer.recorder._writers for e in w._waiting]
        object.__setattr__(entry, "stored_s", entry.stored_s - 7200)
        db._artifacts.clear()
        send(*arguments, **options)

    monkeypatch.setattr(writer.recorder._writers, "send", sleep)
    writer.save(1, weights=torch.ones(1_000_000))
    assert run_in(db).newest().state.weights.sum() == 1_000_000


def test_checkpoint_that_is_taken_again_stays_pinned() -> None:
    writer = Writer()
    writer.create()
    writer.save(1, "manual")
    run_in(writer.db).pin(1)
    writer.save(1, "manual")
    (checkpoint,) = run_in(writer.db).checkpoints
    assert checkpoint.is_pinned


def test_session_goes_on_from_its_spill_where_the_run_is_at_home() -> None:
    db = Distant(patience_s=0.0)

    class Leaving(ptutils.Callback):
        """Takes the database out of reach in the middle."""

        def end_of_training_step(self, step: int) -> None:
            db.is_away = step >= 3

    found = config(schedule__duration="5 steps", schedule__checkpoint="1 step")
    found = ptutils.Config({**found, "dbinterface": None})
    session = found.configure(provide={"dbinterface": db})
    leaving = session.callbacks.register(Leaving())
    assert session.run().db is not db
    db.is_away = False
    session.callbacks.unregister(leaving)
    session.schedule = ptutils.Schedule("8 steps", checkpoint="1 step")
    run = session.run()
    assert run.db is db
    assert list(run.history["train.loss"].steps) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert db.verify() == []


def test_checkpoint_that_is_withdrawn_meanwhile_takes_no_points_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writer = Writer()
    writer.create()
    (one,) = writer.recorder._writers
    history = [Entry(collection="none", document={"_id": n}) for n in (1, 2, 3)]
    one.add(history[:2])

    def write(waiting: Any, changes: Any) -> None:
        assert waiting == history[:2]
        one.withdraw(history[0])
        one.add(history[2:])

    monkeypatch.setattr(one, "_write", write)
    one.write({})
    assert not one.has(history[1])
    assert one.has(history[2])
