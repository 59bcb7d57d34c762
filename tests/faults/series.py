"""A database that is written by one process after the other, each of them killed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import ptutils
from ptutils.core.records.run import Run
from ptutils.core.records.writing import recorder
from ptutils.core.records.writing.publisher import Publisher, Taken
from ptutils.meta.status import Phase
from tests.faults.experiment import COUNT, NOTES, Noting, is_noted, settings
from tests.faults.processes import Child

__all__ = ["Series"]

_CYCLES_PER_RUN: Final = 4
_LONGEST_S: Final = 0.4


class Series:
    """Kills of the writers of one database, and what each of them was told is saved.

    Args:
        url: Of the database.
        seed: Decides when they are killed.
    """

    def __init__(self, url: str, seed: int) -> None:
        self.num_checkpoints = 0
        self._url = url
        self._chance = random.Random(seed)  # noqa: S311
        self._num_cycles = 0
        self._notes: list[str] = []
        self._newest: dict[str, tuple[str, str]] = {}

    def cycle(self) -> None:
        """Write for a while, be killed, and look whether everything is there."""
        child = self.start()
        if self._num_cycles % 2:  # Else perhaps before it has saved anything.
            child.until_told()
        time.sleep(self._chance.uniform(0.0, _LONGEST_S))
        self.note(child.kill())
        self.check()

    def start(self) -> Child:
        """Start a process that goes on with the newest run, or begins one."""
        turn, self._num_cycles = self._num_cycles, self._num_cycles + 1
        return Child(
            write, self._url, turn % _CYCLES_PER_RUN == 0, turn % (2 * _CYCLES_PER_RUN)
        )

    def note(self, told: list[Any]) -> None:
        """Remember what a process told."""
        for each in told:
            if isinstance(each, str):
                self._notes.append(each)
            else:
                run, checkpoint, digest = each
                self._newest[run] = checkpoint, digest
                self.num_checkpoints += 1

    def check(self) -> None:
        """Open the database, and find all that was acknowledged, and no fault."""
        with ptutils.connect(self._url) as db:
            runs = {run.id: run for run in db.runs.find()}
            assert self._newest.keys() <= runs.keys()
            for run in runs.values():
                self._check_run(run)
            for note in db.load_from_ids(self._notes[-50:], NOTES):
                assert is_noted(note)
            if self._notes:
                assert db.load(COUNT)["n"] >= len(self._notes)
            assert db.verify() == []
            if self._num_cycles % 3 == 0:
                db.gc(0)
                assert db.verify() == []

    def end(self) -> None:
        """Finish every run, and look at all that was ever saved."""
        self._newest.clear()  # Their place is taken by those of the last steps.
        with ptutils.connect(self._url) as db:
            for run in db.runs.find():
                newest = run.newest()
                step = newest.step + 2 if newest else 2
                ended = run.resume({"schedule.duration": f"{step} steps"}).run()
                assert ended.status.phase is Phase.COMPLETED
                assert num_steps(ended) == step
            for note in db.find(collection=NOTES):
                assert is_noted(note)
            assert len(db.load_from_ids(self._notes, NOTES)) == len(self._notes)
        self.check()

    def _check_run(self, run: Run) -> None:
        listed = {each.id: each.digest for each in run.checkpoints}
        for each in run.checkpoints:
            assert each.state.trainer.state.step == each.step  # Every byte is hashed.
        if run.id in self._newest:
            checkpoint, digest = self._newest[run.id]
            assert listed[checkpoint] == digest
            assert num_steps(run) >= run.checkpoints[-1].step


def num_steps(run: Run) -> int:
    """Return how many steps are in the History of a run, each of them once."""
    history = run.history
    steps = list(history["train.loss"].steps) if history.paths() else []
    assert steps == list(range(1, len(steps) + 1))
    return len(steps)


class _Telling(Publisher):
    """Tells of each checkpoint that is durable."""

    tell: Callable[[Any], object] = id

    def _published(self, batch: Sequence[Taken]) -> None:
        ids = [taken.document["_id"] for taken in batch]
        wanted = {"_id": {"$in": ids}}
        for found in self._writers.db._find("checkpoints", wanted):
            type(self).tell((found["run"], found["_id"], found["state"]["digest"]))
        super()._published(batch)  # It drops older ones, of which was told.


def write(tell: Callable[[Any], object], url: str, is_new: bool, turn: int) -> None:
    """Train, and save at every step, until somebody ends this process.

    Args:
        tell: Told the id of every document, and run, id and digest of every checkpoint.
        url: Of the database.
        is_new: Whether to begin a new run, or to go on with the newest.
        turn: Makes every other new run a wide one.
    """
    recorder.Publisher = _Telling
    _Telling.tell = Noting.tell = staticmethod(tell)
    with ptutils.connect(url) as db:
        newest = db.runs.find(sort=[("created", -1)], limit=1)
        if is_new or not newest:
            settings(url, is_wide=turn == 0).configure().run()
        else:
            newest[0].resume().run()
