"""Processes that want the same run at the same moment: one gets it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

import ptutils
from ptutils.errors import LeaseError
from tests.faults.experiment import settings
from tests.faults.processes import CONTEXT, Child
from tests.mongod import running_mongod
from tests.soak import times

ROUNDS = times(30)


@pytest.fixture(params=["sqlite", "files", "mongodb", "replica set"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param in ("sqlite", "files"):
        yield f"{request.param}:{tmp_path / 'runs'}"
        return
    is_set = request.param == "replica set"
    with running_mongod(tmp_path, replica_set=is_set) as server:
        yield server.url


@pytest.mark.mongo
def test_one_of_two_that_resume_gets_the_run_and_the_other_is_told_who(
    url: str,
) -> None:
    run = settings(url, duration="1 step").configure().run()
    for number in range(ROUNDS):
        both = CONTEXT.Barrier(2)
        racers = [Child(resume, url, run.id, both) for _ in range(2)]
        told = sorted(racer.wait() for racer in racers)
        [[(loser, _, text)], [(winner, pid, _)]] = told
        assert (loser, winner) == ("is told", "wins")
        assert f"process {pid} on {os.uname().nodename} is writing it" in text
        assert "its lease holds until" in text
        assert len(run.refresh().segments) == number + 2


def resume(tell: Callable[[Any], object], url: str, run_id: str, both: Barrier) -> None:
    """Resume a run for one step, at the same moment as another process.

    Args:
        tell: Told what came of it, the number of the process, and the error.
        url: Of its database.
        run_id: Which.
        both: Where they wait for each other: before they begin, and until both have.
    """
    with ptutils.connect(url) as db:
        run = db.runs.get(run_id)
        steps = run.newest().step + 1
        session = run.resume({"schedule.duration": f"{steps} steps"})
        session.callbacks.register(Holding())
        Holding.both = both
        both.wait(60)
        try:
            session.run()
        except LeaseError as error:
            tell(("is told", os.getpid(), str(error)))
            both.wait(60)
        else:
            tell(("wins", os.getpid(), ""))


@ptutils.register
class Holding(ptutils.Callback):
    """Keeps a run until another process has found it taken."""

    both: Barrier

    def end_of_training_step(self) -> None:
        self.both.wait(60)
