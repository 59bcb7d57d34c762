"""A database is cleaned again and again while others write it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pytest

import ptutils
from ptutils.core.records.upkeep import garbage
from ptutils.core.records.writing import writer
from tests.faults.experiment import NOTES, Noting, is_noted, settings
from tests.faults.processes import CONTEXT, Child
from tests.faults.series import num_steps
from tests.mongod import running_mongod
from tests.soak import times

GRACE_S = 4.0
"""Instead of an hour. A writer stores again what is older than half of it."""

DURATION_S = max(7, times(30))


@pytest.fixture(params=["sqlite", "files", "mongodb", "replica set"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param in ("sqlite", "files"):
        yield f"{request.param}:{tmp_path / 'runs'}"
        return
    is_set = request.param == "replica set"
    with running_mongod(tmp_path, replica_set=is_set) as server:
        yield server.url


@pytest.mark.mongo
def test_cleaning_beside_writers_removes_garbage_and_nothing_else(url: str) -> None:
    over = CONTEXT.Event()
    writers = [Child(train, url, seed) for seed in range(2)]
    for each in writers:
        each.until_told()
    cleaner = Child(clean, url, over)
    with ptutils.connect(url) as db:
        deadline = time.monotonic() + DURATION_S
        while time.monotonic() < deadline:
            load_all(db)
        over.set()
        ((num_cleanings, num_removed),) = cleaner.wait()
        told = [each for child in writers for each in child.kill()]
        assert num_cleanings > 0
        assert num_removed > 0
        assert all(map(is_noted, db.load_from_ids(told, NOTES)))
        assert {num_steps(run) > 0 for run in db.runs.find()} == {True}
        assert db.verify() == []


def load_all(db: ptutils.DBInterface) -> None:
    """Load every checkpoint that is listed, but what its schedule drops meanwhile."""
    for run in db.runs.find():
        for each in run.checkpoints:
            try:
                assert each.state.trainer.state.step == each.step
            except ptutils.PtutilsError:
                assert each.id not in {c.id for c in run.refresh().checkpoints}


def train(tell: Callable[[Any], object], url: str, seed: int) -> None:
    """Save a State of several MB at every step; of three, the oldest is dropped."""
    _shorten_grace()
    Noting.tell = staticmethod(tell)
    settings(url, seed=seed, is_wide=True).configure().run()


def clean(tell: Callable[[Any], object], url: str, over: Event) -> None:
    """Clean until it is over; tell how often, and how much was removed."""
    _shorten_grace()
    num_cleanings = num_removed = 0
    with ptutils.connect(url) as db:
        while not over.is_set():
            num_removed += db.gc(GRACE_S).artifacts
            num_cleanings += 1
    tell((num_cleanings, num_removed))


def _shorten_grace() -> None:
    garbage.GRACE_S = writer.GRACE_S = GRACE_S
