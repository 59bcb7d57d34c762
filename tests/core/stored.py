"""Runs as they lie in a database, made without training anything."""

from __future__ import annotations

import contextlib
from typing import Any

from ptutils.core.records.document import new_id
from ptutils.core.records.writing.recorder import Recorder
from ptutils.db.memory import MemoryInterface
from ptutils.errors import UnavailableError
from ptutils.meta.history import History
from ptutils.meta.status import Phase, Status

ENCODED = {
    "config": {"class": "Session", "betas": (0.9, 0.99)},
    "source": {"host": "here", "command": ["train.py"]},
    "lineage": {"verb": "new", "parent": None, "checkpoint": None, "overrides": {}},
}
FIELDS = {"experiment": "test", "tags": ["good"], "notes": ""}


class Writer:
    """A recorder, and what it writes."""

    def __init__(self, db: Any = None) -> None:
        self.db = db or MemoryInterface()
        self.history = History()
        self.status = Status()
        self.status.to(Phase.RUNNING)
        status, owner = self.status.state_dict, new_id()
        self.recorder = Recorder([self.db], self.history, status, owner)

    def create(self) -> str:
        return self.recorder.create(dict(FIELDS), dict(ENCODED))

    def record(self, *steps: int) -> None:
        for step in steps:
            self.history.record(step, 0, "loss", 1.0 / step)

    def save(self, step: int, why: str = "schedule", **state: Any) -> Any:
        fields = {
            "step": step,
            "epoch": 0,
            "why": why,
            "metrics": {},
            "elapsed_s": 0.5 * step,
        }
        return self.checkpoint(state or {"step": step}, fields, None)

    def save_unread(self, step: int, **state: Any) -> None:
        """Write a checkpoint, and read nothing."""
        more = {"epoch": 0, "why": "schedule", "metrics": {}, "elapsed_s": 0.5 * step}
        self.recorder.checkpoint(state, {"step": step, **more}, None)
        self.recorder.flush()

    def checkpoint(self, state: Any, fields: Any, config: Any) -> Any:
        """Write a checkpoint; return its document, if a database could be reached."""
        identity = self.recorder.checkpoint(state, fields, config)
        self.recorder.flush()
        with contextlib.suppress(UnavailableError):
            for document in self.recorder.db._find("checkpoints", {"_id": identity}):
                return document
        return None

    def prune(self, retained: Any) -> None:
        """Delete what is not retained, as after a checkpoint."""
        self.recorder._publisher._prune(self.recorder.run_id, retained)

    def end(self) -> None:
        self.status.to(Phase.COMPLETED)
        self.recorder.finish()


def killed(db: Any, run_id: str) -> None:
    """Leave a run as its process would have if it had been killed."""
    db.update({"_id": run_id}, {"$set": {"lease.born": -1}}, collection="runs")


def steps_of(history: History) -> list[int]:
    return list(history["loss"].steps) if history.paths() else []
