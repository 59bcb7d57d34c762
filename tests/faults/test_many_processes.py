"""Many processes that write one database at once, while others query it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest

import ptutils
from ptutils.cli.main import main
from ptutils.meta.status import Phase
from tests.faults.experiment import COUNT, NOTES, Noting, is_noted, settings
from tests.faults.processes import CONTEXT, Child
from tests.faults.series import num_steps
from tests.mongod import running_mongod
from tests.soak import IS_SOAK

NUM_STEPS = 60 if IS_SOAK else 12


@pytest.fixture(params=["sqlite", "files", "mongodb", "replica set"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param in ("sqlite", "files"):
        yield f"{request.param}:{tmp_path / 'runs'}"
        return
    is_set = request.param == "replica set"
    with running_mongod(tmp_path, replica_set=is_set) as server:
        yield server.url


@pytest.mark.mongo
def test_processes_write_at_once_while_others_query(url: str) -> None:
    num_writers = 4 if url.startswith("files") else 8
    over = CONTEXT.Event()
    with ptutils.connect(url) as db:
        db.save({}, "first")  # Now there is a database to look at.
    readers = [Child(query, url, over) for _ in range(2)]
    writers = [Child(train, url, seed) for seed in range(num_writers)]
    told = [each for writer in writers for each in writer.wait()]
    over.set()
    seen = [reader.wait() for reader in readers]

    assert {child.exit_code for child in (*writers, *readers)} == {0}
    assert all(number > 0 for (number,) in seen)
    with ptutils.connect(url) as db:
        runs = db.runs.find()
        assert sorted(run.config["seed"] for run in runs) == [*range(num_writers)]
        assert {run.status.phase for run in runs} == {Phase.COMPLETED}
        assert [num_steps(run) for run in runs] == [NUM_STEPS] * num_writers
        assert {run.newest().state.trainer.state.step for run in runs} == {NUM_STEPS}
        assert all(map(is_noted, db.load_from_ids(told, NOTES)))
        assert len(told) == NUM_STEPS * num_writers
        assert db.load(COUNT)["n"] == len(told)
        assert db.verify() == []


def train(tell: Callable[[Any], object], url: str, seed: int) -> None:
    """Train a run of its own."""
    Noting.tell = staticmethod(tell)
    duration = f"{NUM_STEPS} steps"
    settings(url, duration=duration, seed=seed, is_wide=seed == 0).configure().run()


def query(tell: Callable[[Any], object], url: str, over: Event) -> None:
    """Look at everything until it is over; tell how often."""
    number = 0
    with ptutils.connect(url) as db:
        while not over.is_set():
            for run in db.runs.find({"config.seed": {"$gte": 0}}):
                num_steps(run)
            for run in db.runs.where("summary.train.loss.last < 100 and step >= 0"):
                _ = run.checkpoints, run.status
            assert all(map(is_noted, db.find(limit=5, collection=NOTES)))
            _list(url)
            number += 1
    tell(number)


def _list(url: str) -> None:
    sys.argv = ["ptutils", "ls", "--db", url]
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            main()
    except SystemExit as end:
        assert not end.code, said.getvalue()  # noqa: PT017 - the code of a command
