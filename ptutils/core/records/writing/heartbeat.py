"""Heartbeat: what is done again and again in the background while a run goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["repeating"]

_BEAT_S = 2.0
_BEHIND = 1e-3
"""How far stored History may lie behind, as a part of the time recorded: the longer a
run, the fewer the pieces that it is read from."""
_JOIN_S = 10.0


@contextmanager
def repeating(
    beat: Callable[[bool], None], failed: Callable[[Exception], None]
) -> Iterator[None]:
    """Call a function in the background while the block runs, until it fails.

    Args:
        beat: Told whether History is to be written: less often the longer it takes.
        failed: Told of the error that ended it.
    """
    stop = threading.Event()

    def run() -> None:
        started_s = flushed_s = time.monotonic()
        while not stop.wait(_BEAT_S):
            now_s = time.monotonic()
            is_due = now_s - flushed_s >= _BEHIND * (now_s - started_s)
            flushed_s = now_s if is_due else flushed_s
            try:
                beat(is_due)
            except Exception as error:  # noqa: BLE001 - whoever saves next raises it
                failed(error)
                return

    thread = threading.Thread(target=run, name="ptutils-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(_JOIN_S)  # It may wait for a server that does not answer.
