"""Runs to be copied, and what of them is in a database."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ptutils.core.records.run import Run, place_of
from ptutils.db.memory import MemoryInterface
from ptutils.errors import (
    UnavailableError,
)
from ptutils.meta.codec import dumps
from tests.core.stored import ENCODED, FIELDS, Writer, killed

LARGE = 1 << 19
"""Numbers that make a State too large for its document."""

COLLECTIONS = ("runs", "checkpoints", "history")


def big(seed: int) -> Any:
    return np.full(LARGE, seed, dtype=np.int64)


def written(db: Any, *, is_over: bool = True) -> Writer:
    """Write a run with three checkpoints, a large array shared by two of them."""
    writer = Writer(db)
    array = np.arange(2000)
    config = {"class": "Session", "betas": (0.9, 0.99), "weights": array}
    writer.recorder.create(dict(FIELDS), {**ENCODED, "config": config})
    writer.save(0, "start", array=big(1))
    for step in (1, 2):
        writer.history.record(step, 0, "valid.loss", math.nan)
        writer.record(step)
        writer.save(step, array=big(step), own=step)
    if is_over:
        writer.end()
    return writer


def resumed(db: Any, run_id: str, *steps: int, at: int = 2) -> Writer:
    """Go on with a run from a checkpoint for some steps, as another process would."""
    (run,) = db.runs.find({"_id": run_id})
    if run.document["lease"] is not None:
        killed(db, run_id)
    again = Writer(db)
    place = place_of(run.checkpoint(at))
    again.recorder.acquire(run_id, {}, dict(ENCODED), place)
    again.record(*steps)
    again.save(steps[-1])
    return again


def content(db: Any) -> dict[str, list[str]]:
    """Return all documents as text, and the digests of all artifacts."""
    texts = {
        name: sorted(dumps(dict(sorted(each.items()))) for each in db._find(name, {}))
        for name in COLLECTIONS
    }
    return {**texts, "artifacts": sorted(db._stored())}


def run_of(db: Any) -> Run:
    (run,) = db.runs.find()
    assert isinstance(run, Run)
    return run


class Counting(MemoryInterface):
    """Counts what is written to it, and fails when it is told to."""

    def __init__(self, fails_after: int | None = None) -> None:
        super().__init__()
        self.count = 0
        self.puts: list[int] = []
        self.fails_after = fails_after

    def _insert(self, collection: str, documents: Any) -> None:
        self._note()
        super()._insert(collection, documents)

    def _delete(self, collection: str, filter: Any) -> int:
        self._note()
        return super()._delete(collection, filter)

    def _put(self, artifacts: Any) -> list[str]:
        self._note()
        self.puts.append(len(artifacts))
        return super()._put(artifacts)

    def _update(self, collection: str, *arguments: Any, **more: Any) -> int:
        self._note()
        return super()._update(collection, *arguments, **more)

    def _note(self) -> None:
        if self.count == self.fails_after:
            raise UnavailableError("cannot reach this database")
        self.count += 1


Make = Callable[[str], Any]
