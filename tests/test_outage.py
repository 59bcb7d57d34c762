"""A MongoDB server that goes away in the middle of training, and comes back or not."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

import ptutils
from ptutils.meta.status import Phase
from tests.core.experiment import config
from tests.core.stored import killed
from tests.mongod import Mongod, running_mongod
from tests.soak import times
from tests.terminal import Terminal

pytestmark = pytest.mark.mongo

GONE_S = times(20)


class Slow(ptutils.Callback):
    """Makes a step take as long as one of a larger net."""

    def end_of_training_step(self) -> None:
        time.sleep(0.01)


class Training:
    """A session that trains in a thread until it is told to stop."""

    def __init__(self, url: str, patience_s: float) -> None:
        found = config(
            schedule__duration="1 h",
            schedule__checkpoint="20 steps",
            schedule__keep={"last": 4},
        )
        self.db = ptutils.connect(url)
        self.db.patience_s = patience_s
        found = ptutils.Config({**found, "dbinterface": None})
        self.session = found.configure(provide={"dbinterface": self.db})
        self.session.callbacks.register(Slow())
        self.thread = threading.Thread(target=self.session.run)
        self.thread.start()
        self.train_on()

    def train_on(self, steps: int = 50) -> None:
        reached = self.session.trainer.step + steps
        self.until(lambda: self.session.trainer.step >= reached)

    def until(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not happened():
            assert self.thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self) -> None:
        self.session.trainer.interrupt("the test is over")
        self.thread.join(timeout=60)
        assert not self.thread.is_alive()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mongod]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ptutils.core.records.writing.heartbeat._BEAT_S", 0.2)
    with running_mongod(tmp_path / "server") as found:
        yield found


def hasty(server: Mongod) -> str:
    """Return the URL with which a call that nobody answers ends soon."""
    return f"{server.url}&serverSelectionTimeoutMS=300"


def whole(run: Any) -> bool:
    """Whether the History has every step once, up to the newest checkpoint."""
    steps = list(run.history["train.loss"].steps)
    return steps == list(range(1, run.newest().step + 1))


def test_training_goes_on_while_the_server_is_gone(server: Mongod) -> None:
    training = Training(hasty(server), patience_s=60)
    server.kill()
    before = training.session.trainer.step
    time.sleep(GONE_S)
    assert training.session.trainer.step > before + 20
    server.start()
    training.train_on()
    training.end()
    (run,) = ptutils.connect(server.url).runs.find()
    assert run.status.phase is Phase.COMPLETED
    assert whole(run)
    assert run.document["faults"] == []


def test_training_goes_on_in_a_spill_when_the_server_stays_away(
    server: Mongod, caplog: pytest.LogCaptureFixture
) -> None:
    training = Training(hasty(server), patience_s=1)
    server.kill()
    training.until(lambda: list(Path().glob("spill-*.db")))
    training.train_on()
    training.end()
    assert "ptutils import" in caplog.text
    server.start()
    (spill,) = Path().glob("spill-*.db")
    db = ptutils.connect(server.url)
    killed(db, training.session.id)  # Its process would have ended with the training.
    (run,) = db.import_runs(str(spill))
    assert run.status.phase is Phase.COMPLETED
    assert whole(run)
    steps = run.newest().step + 2
    resumed = run.resume({"schedule.duration": f"{steps} steps"}).run()
    assert whole(resumed)


def test_command_line_says_how_to_bring_a_spilled_run_home(
    server: Mongod, tmp_path: Path, terminal: Terminal
) -> None:
    found = config(schedule__duration="300 steps", schedule__checkpoint="20 steps")
    database = {"class": "MongoInterface", "url": hasty(server), "patience": "1 s"}
    ptutils.Config({**found, "dbinterface": database}).save(tmp_path / "run.yaml")
    program = terminal("-m", "ptutils.cli", "run", "run.yaml")
    db = ptutils.connect(server.url)
    deadline = time.monotonic() + 60
    while not db._count("checkpoints", {}):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    server.kill()
    program.expect("the run goes on in", timeout=60)
    program.expect(r"when it is back: ptutils import ([^\r\n]*)", timeout=120)
    spill, _, home = shlex.split(program.match[1])
    program.expect(pexpect.EOF)
    server.start()
    (run,) = ptutils.connect(home).import_runs(spill)
    assert run.status.phase is Phase.COMPLETED
    assert whole(run)


def test_end_of_the_training_waits_for_the_server(server: Mongod) -> None:
    training = Training(hasty(server), patience_s=60)
    server.kill()
    training.train_on()
    training.session.trainer.interrupt("the test is over")
    time.sleep(1)
    server.start()
    training.end()
    (run,) = ptutils.connect(server.url).runs.find()
    assert run.status.phase is Phase.COMPLETED
    assert whole(run)
