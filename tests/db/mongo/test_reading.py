"""Of a checkpoint on a server only what is asked for comes over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymongo
import pytest
import torch
from pymongo import monitoring

from ptutils.core.records.checkpoint import Checkpoint
from ptutils.db.mongo.interface import MongoInterface
from tests.core.stored import Writer
from tests.mongod import Mongod

pytestmark = pytest.mark.mongo

MIB = 1 << 20


class Listener(monitoring.CommandListener):
    """Counts the bytes of pieces of files that the server sends."""

    def __init__(self) -> None:
        self.fetched = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        pass

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        cursor: Any = event.reply.get("cursor", {})
        if cursor.get("ns", "").endswith("packs.chunks"):
            pieces = cursor.get("firstBatch", cursor.get("nextBatch", []))
            self.fetched += sum(len(piece["data"]) for piece in pieces)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def checkpoint(standalone: Mongod, listener: Listener) -> Iterator[Checkpoint]:
    """Return one of 24 MiB, in tensors of 8."""
    url = standalone.url.replace("/test?", "/reading?")
    with pymongo.MongoClient(url, event_listeners=[listener], tz_aware=True) as client:
        db = MongoInterface(url, client=client)
        writer = Writer(db)
        writer.create()
        tensors = {name: torch.full((2 * MIB,), float(ord(name))) for name in "abc"}
        yield Checkpoint(db, writer.save(1, **tensors))
        client.drop_database("reading")


def test_opening_fetches_no_tensor(checkpoint: Checkpoint, listener: Listener) -> None:
    assert checkpoint.state.paths() == ["a", "b", "c"]
    assert listener.fetched == 0


def test_one_tensor_fetches_the_pieces_it_lies_in(
    checkpoint: Checkpoint, listener: Listener
) -> None:
    assert checkpoint.state.b.sum() == 2 * MIB * ord("b")
    assert 8 * MIB <= listener.fetched <= 9 * MIB


def test_all_tensors_are_fetched_once(
    checkpoint: Checkpoint, listener: Listener
) -> None:
    state = checkpoint.read()
    assert [int(each[-1]) for each in state.values()] == list(b"abc")
    assert 24 * MIB <= listener.fetched <= 28 * MIB
