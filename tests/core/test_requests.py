"""Another process stops, pauses and saves a run that is being trained."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ptutils
from ptutils.meta.status import Phase
from tests.core.experiment import config


class Background:
    """A session that trains in a thread, and its run as another process sees it."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.thread = threading.Thread(target=session.run)
        self.thread.start()
        self.until(lambda: self.run.status.progress["step"] > 2)

    @property
    def run(self) -> Any:
        for _ in range(500):
            for run in self.session.databases[0].runs.find():
                return run
            time.sleep(0.01)
        raise AssertionError("there is no run")

    def until(self, happened: Callable[[], object]) -> None:
        for _ in range(1500):
            if happened():
                return
            time.sleep(0.01)
        raise AssertionError("it never happened")

    def end(self) -> Any:
        self.thread.join(timeout=30)
        assert not self.thread.is_alive()
        return self.run


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Iterator[Background]:
    monkeypatch.setattr("ptutils.core.records.writing.heartbeat._BEAT_S", 0.02)
    changes = {"schedule__duration": "100000 steps", "schedule__checkpoint": "1 epoch"}
    found = config(**changes, schedule__keep={"last": 3})
    background = Background(ptutils.Session.from_meta(config=found))
    yield background
    background.session.trainer.interrupt("the test is over")
    background.end()


def test_run_that_is_asked_to_stop_ends_with_all_saved(trained: Background) -> None:
    trained.run.stop("the curve is flat")
    run = trained.end()
    assert run.status.phase is Phase.INTERRUPTED
    assert run.status.reason.endswith(": the curve is flat")
    assert run.status.reason.startswith("stopped by process ")
    assert run.newest().step == run.status.progress["step"]


def test_stopped_run_can_be_resumed(trained: Background) -> None:
    trained.run.stop()
    stopped = trained.end()
    steps = stopped.status.progress["step"]
    resumed = stopped.resume({"schedule.duration": f"{steps + 2} steps"}).run()
    assert list(resumed.history["train.loss"].steps[-3:]) == [
        steps,
        steps + 1,
        steps + 2,
    ]


def test_run_pauses_and_goes_on_where_it_was(trained: Background) -> None:
    trained.run.pause()
    trained.until(lambda: trained.run.status.phase is Phase.PAUSED)
    paused = trained.run
    step = paused.status.progress["step"]
    time.sleep(0.2)
    assert trained.run.status.progress["step"] == step
    assert (paused.newest().step, paused.newest().why) == (step, "pause")
    assert paused.status.reason.startswith("paused by process ")
    trained.run.go_on()
    trained.until(lambda: trained.run.status.progress["step"] > step)
    assert trained.run.status.phase is Phase.RUNNING
    trained.run.stop()
    steps = list(trained.end().history["train.loss"].steps)
    assert steps == list(range(1, len(steps) + 1))


def test_paused_run_can_be_stopped(trained: Background) -> None:
    trained.run.pause()
    trained.until(lambda: trained.run.status.phase is Phase.PAUSED)
    trained.run.stop()
    assert trained.end().status.phase is Phase.INTERRUPTED


def test_time_of_a_pause_is_no_time_of_training(trained: Background) -> None:
    trained.run.pause()
    trained.until(lambda: trained.run.status.phase is Phase.PAUSED)
    before_s = trained.run.newest().elapsed_s
    time.sleep(1.0)
    trained.run.stop()
    assert trained.end().newest().elapsed_s < before_s + 0.9


def test_run_saves_when_it_is_asked_to(trained: Background) -> None:
    step = trained.run.newest().step
    trained.run.ask_for_checkpoint()
    trained.until(lambda: trained.run.newest().step > step)


def test_trainer_alone_pauses_only_while_it_trains() -> None:
    session = ptutils.Session.from_meta(config=config(schedule__duration="1 step"))
    session.trainer.ask_for_pause("no reason")
    session.trainer.go_on()
    assert session.run().status.phase is Phase.COMPLETED


def test_session_without_a_database_pauses_too() -> None:
    found = config(schedule__duration="100000 steps", dbinterface=None)
    session = ptutils.Session.from_meta(config=found)
    thread = threading.Thread(target=session.run)
    thread.start()
    while session.trainer.step < 3:
        time.sleep(0.01)
    session.trainer.ask_for_pause("a test")
    while session.status.phase is not Phase.PAUSED:
        time.sleep(0.01)
    session.trainer.interrupt("the test is over")
    thread.join(timeout=30)
    assert session.status.phase is Phase.COMPLETED


def test_source_is_left_out_when_it_is_not_wanted() -> None:
    found = config(schedule__duration="1 step", source=False)
    assert ptutils.Session.from_meta(config=found).run().source == {}
