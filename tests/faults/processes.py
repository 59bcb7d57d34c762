"""Processes that are started in no time, to be killed at any moment."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

__all__ = ["CONTEXT", "Child"]

CONTEXT: Final = multiprocessing.get_context("forkserver")
"""Makes what processes share."""

_ROOT: Final = Path(__file__).parents[2]


class Child:
    """A process that runs a function of a module, and tells through a pipe.

    Args:
        target: Called with ``tell``, which sends a value here, then with ``arguments``.
        arguments: Anything that pickle takes.
    """

    def __init__(self, target: Callable[..., object], *arguments: Any) -> None:
        CONTEXT.set_forkserver_preload(["tests.faults.warm"])
        with contextlib.chdir(_ROOT):  # Where it finds the tests.
            forkserver.ensure_running()
        self._told, told = CONTEXT.Pipe(duplex=False)
        self._process = CONTEXT.Process(target=_run, args=(target, told, *arguments))
        self._process.start()
        told.close()
        self._told.recv()  # It runs.

    def until_told(self, timeout_s: float = 150.0) -> None:
        """Wait until it has told something; a server may keep 90 s what was killed."""
        assert self._told.poll(timeout_s)

    def kill(self) -> list[Any]:
        """End it as the kernel would where memory is short; return what it told."""
        self._process.kill()
        return self.wait()

    def wait(self) -> list[Any]:
        """Wait for its end; return what it told."""
        told = list(self._rest())
        self._process.join()
        return told

    @property
    def exit_code(self) -> int | None:
        """How it ended: 0, or minus the signal that ended it."""
        return self._process.exitcode

    def _rest(self) -> Iterator[Any]:
        with contextlib.suppress(EOFError), self._told:
            while True:
                yield self._told.recv()


def _run(target: Callable[..., object], told: Connection, *arguments: Any) -> None:
    told.send(True)
    target(told.send, *arguments)
