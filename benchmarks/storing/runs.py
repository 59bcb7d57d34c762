"""Runs of ptutils in any of its databases, written as training writes them."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Iterator
from datetime import timedelta

from ptutils.core.catalogue import find
from ptutils.core.dbinterface import DBInterface
from ptutils.core.records.document import new_id
from ptutils.core.records.writing.recorder import Recorder
from ptutils.db.memory import MemoryInterface
from ptutils.meta.config import Config
from ptutils.meta.history import History
from ptutils.meta.status import Phase, Status
from ptutils.meta.values import Document

__all__ = [
    "FILTER",
    "LR",
    "SORT",
    "LoggedRun",
    "copies_of",
    "log_many",
    "trained",
    "write_runs",
]

LR = "config.trainer.model.optimizer.lr"
"""Where a run keeps its learning rate."""

FILTER = {LR: {"$lt": 0.01}, "config.seed": 3}
"""Meets a twentieth of :func:`copies_of`."""

SORT = [("summary.valid.accuracy.max", -1)]

_LINEAGE = {"verb": "new", "parent": None, "checkpoint": None, "overrides": {}}


def trained() -> Document:
    """Return the document of a run of the digits example: about 3 KB."""
    config = Config.read("examples/digits.yaml").override(
        {
            "schedule.duration": "30 steps",
            "schedule.validate": "10 steps",
            "progress": False,
            "source": False,  # The diff of a working tree may be of any size.
            "dbinterface": None,
        }
    )
    db = MemoryInterface()
    find("build")(config, provide={"dbinterface": db}).run()
    (document,) = db._find("runs", {})
    return document


def copies_of(template: Document, count: int) -> Iterator[Document]:
    """Yield copies of a run with other ids, times, settings and results."""
    chance = random.Random(0)  # noqa: S311 - not for secrets
    for number in range(count):
        varied = {name: copy.deepcopy(template[name]) for name in ("config", "summary")}
        varied["config"]["seed"] = number % 10
        lr = 10 ** chance.uniform(-4, 0)
        varied["config"]["trainer"]["model"]["optimizer"]["lr"] = lr
        varied["summary"]["valid"]["accuracy"]["max"] = chance.random()
        varied["summary"]["valid"]["loss"]["min"] = 3 * chance.random()
        yield {
            **template,
            **varied,
            "_id": f"{template['_id'][:4]}{number:07d}",
            "created": template["created"] + timedelta(seconds=number),
            "experiment": f"group{number % 7}",
        }


class LoggedRun:
    """A run that logs scalars, without a model: what Session does around training.

    Args:
        db: Where to.
        config: What it is found by.
    """

    def __init__(self, db: DBInterface, config: Document) -> None:
        self.history = History()
        self.status = Status()
        self.status.to(Phase.RUNNING)
        status = self.status.state_dict
        self.recorder = Recorder([db], self.history, status, new_id())
        fields = {"experiment": "bench", "tags": [], "notes": ""}
        encoded = {"config": config, "source": {}, "lineage": _LINEAGE}
        self.id = self.recorder.create(fields, encoded)

    def finish(self) -> None:
        """Write what is left, durable on return."""
        self.status.to(Phase.COMPLETED)
        self.recorder.finish()


def log_many(db: DBInterface, count: int) -> tuple[str, float, float]:
    """Log scalars while the recorder writes in the background.

    Returns:
        The run, seconds of the training thread, and seconds until all is durable.
    """
    run = LoggedRun(db, {"class": "Session"})
    record = run.history.record
    started_s = time.perf_counter()
    with run.recorder.beating(lambda reason: None):
        own_s = time.thread_time()
        for step in range(count):
            record(step, 0, "loss", 1.0 / (step + 1))
        own_s = time.thread_time() - own_s
    run.finish()
    return run.id, own_s, time.perf_counter() - started_s


def write_runs(db: DBInterface, config: Document, points: list[list[float]]) -> None:
    """Write a run per list of points, one after the other; seeds are 0 and 1."""
    for number, values in enumerate(points):
        run = LoggedRun(db, config | {"seed": number % 2})
        for step, value in enumerate(values):
            run.history.record(step, 0, "loss", value)
        run.finish()
