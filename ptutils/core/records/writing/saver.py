"""Saver: a bounded queue, and one thread that writes what is in it.

Training hands a checkpoint over and goes on. What goes wrong meanwhile is raised where
the next one is handed over, or where the queue is waited for; if nobody does, at the
end of the program.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["Saver"]

_LOG: Final = logging.getLogger("ptutils")
_MOST_BYTES: Final = 1 << 26
"""How much may wait in memory; one that is larger waits alone."""

_MOST: Final = 256
"""How many may wait, however small."""


_IDLE_S: Final = 10.0
"""A thread that has had nothing to do for so long ends."""


class _Sized(Protocol):
    @property
    def size_bytes(self) -> int: ...


_T = TypeVar("_T", bound=_Sized)


class Saver(Generic[_T]):
    """Writes what it is given, in order, on a thread of its own.

    Args:
        write: Writes some, as many as have come meanwhile; durable when it returns.
    """

    def __init__(self, write: Callable[[Sequence[_T]], None]) -> None:
        self._write = write
        self._waiting: list[_T] = []
        self._in_flight = 0
        self._size_bytes = 0
        self._fault: BaseException | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._has_told = False

    def put(self, item: _T) -> None:
        """Hand something over; wait first while there is too much in flight.

        Raises:
            Exception: What went wrong since the last call.
        """
        with self._changed:
            self._raise_fault()
            self._waiting.append(item)
            self._in_flight += 1
            self._size_bytes += item.size_bytes
            if self._thread is None:
                self._start()
            self._changed.notify_all()

    def make_room(self, size_bytes: int) -> None:
        """Wait until something of a size may be put; say so the first time.

        Raises:
            Exception: What went wrong since the last call.
        """
        with self._changed:
            self._raise_fault()
            if self._has_room(size_bytes):
                return
            if not self._has_told:
                self._has_told = True
                _LOG.warning(
                    "checkpoints are taken faster than they can be written: training "
                    "waits for them; take them less often to go on at full speed"
                )
            self._changed.wait_for(lambda: self._has_room(size_bytes))
            self._raise_fault()

    def flush(self) -> None:
        """Wait until all is written.

        Raises:
            Exception: What went wrong since the last call.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._in_flight)
            self._raise_fault()

    def close(self) -> None:
        """Write all that waits, and let the thread end.

        Raises:
            Exception: What went wrong since the last call.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._in_flight)
            self._thread = None
            self._changed.notify_all()
            atexit.unregister(self._end)
            self._raise_fault()

    def _has_room(self, size_bytes: int) -> bool:
        if not self._in_flight:
            return True
        fits = self._size_bytes + size_bytes <= _MOST_BYTES
        return fits and self._in_flight < _MOST

    def _raise_fault(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="ptutils-saver", daemon=True)
        self._thread = thread
        atexit.register(self._end, os.getpid())
        thread.start()

    def _end(self, process_id: int) -> None:
        """Flush at the end of the program, not of one that was forked from it."""
        if os.getpid() == process_id:
            self.flush()

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            fault = None
            try:
                self._write(batch)
            except BaseException as error:  # noqa: BLE001 - raised at the next call
                fault = error
            with self._changed:
                self._fault = self._fault or fault
                self._in_flight -= len(batch)
                self._size_bytes -= sum(item.size_bytes for item in batch)
                batch.clear()
                self._changed.notify_all()

    def _next(self) -> list[_T] | None:
        """Return all that waits, or None when nothing came for long or will come."""
        me = threading.current_thread()
        with self._changed:
            is_called = self._changed.wait_for(
                lambda: self._waiting or self._thread is not me, _IDLE_S
            )
            if not is_called:  # The next that comes starts another thread.
                self._thread = None
                atexit.unregister(self._end)
                return None
            if self._thread is not me:
                return None  # What waits is for the thread that came after.
            batch, self._waiting = self._waiting, []
            return batch
