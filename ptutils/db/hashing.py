"""Hashing beside what is done with what was hashed before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from blake3 import blake3

from ptutils.meta.codec import Buffer

__all__ = ["hashed"]

_BATCH_BYTES: Final = 4 << 20


def hashed(artifacts: Sequence[Buffer]) -> Iterator[list[str]]:
    """Yield the digests of artifacts in order, some at a time.

    While the caller is busy with some, the next are hashed on one other thread.
    """
    batches = list(_batches(artifacts))
    done: queue.SimpleQueue[list[str]] = queue.SimpleQueue()
    is_left = threading.Event()

    def run() -> None:
        for batch in batches:
            if is_left.is_set():
                return
            done.put(_digests(batch))

    thread = threading.Thread(target=run, name="ptutils-hashing", daemon=True)
    try:
        if len(batches) < 2:
            run()
        else:
            thread.start()
    except RuntimeError:  # pragma: no cover - a program that is ending
        run()
    try:
        for _ in batches:
            yield done.get()
    finally:
        is_left.set()


def _digests(batch: Sequence[Buffer]) -> list[str]:
    return [blake3(artifact).hexdigest() for artifact in batch]


def _batches(artifacts: Sequence[Buffer]) -> Iterator[list[Buffer]]:
    batch: list[Buffer] = []
    size = 0
    for artifact in artifacts:
        batch.append(artifact)
        size += len(artifact)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
