"""One lock for all processes and threads, and the count of what was written.

The file ``.lock`` is locked with flock, shared for reading and exclusive for writing.
It holds a number that grows with every transaction: it tells whether others wrote, and
numbers the documents in the order of their insertion, in microseconds since 1970.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import stat
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ptutils.errors import DatabaseError, UnavailableError

__all__ = ["Lock"]

_PATIENCE_S: Final = 60.0
_PAUSE_S: Final = 0.002


class Lock:
    """The lock of a folder, re-entrant within a thread; a fork does not inherit it.

    Args:
        path: Of the file that is locked; its folder must exist when it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._place = 0
        self._threads = threading.RLock()
        self._descriptor = -1
        self._depth = 0
        self._is_exclusive = False
        self._is_lost = False
        _watch_forks()
        _LOCKS.add(self)

    @contextlib.contextmanager
    def held(self, *, is_exclusive: bool) -> Iterator[bool]:
        """Hold the lock; yield whether this is the outermost block of the thread.

        Raises:
            UnavailableError: If others hold it for a minute.
            DatabaseError: If the file cannot be opened.
        """
        with self._threads:
            if self._is_lost:
                raise DatabaseError(
                    "cannot use a database in a process forked within its transaction",
                    path=str(self.path.parent),
                    fix="fork outside of transactions",
                )
            is_outermost = not self._depth
            if is_outermost:
                self._acquire(is_exclusive)
            self._depth += 1
            try:
                yield is_outermost
            finally:
                self._depth -= 1
                if not self._depth:
                    self._release()

    @property
    def is_exclusive(self) -> bool:
        """Whether this thread may write."""
        return bool(self._depth) and self._is_exclusive

    def next_place(self) -> int:
        """Return a number above all before; the lock must be held for writing."""
        self._place = max(self._place + 1, time.time_ns() // 1000)
        return self._place

    def tell(self) -> int:
        """Let others know that something changed; return the count with that."""
        self.count = self.next_place()
        os.pwrite(self._descriptor, b"%020d\n" % self.count, 0)
        return self.count

    def _acquire(self, is_exclusive: bool) -> None:
        try:
            descriptor = self._open(is_exclusive)
        except OSError as error:
            raise DatabaseError(
                "cannot use this database",
                path=str(self.path.parent),
                expected="a folder that may be written"
                if is_exclusive
                else "a folder that may be read",
                got=error.strerror or str(error),
                fix="check its permissions, or go on with a copy elsewhere",
            ) from error
        try:
            self._wait(descriptor, fcntl.LOCK_EX if is_exclusive else fcntl.LOCK_SH)
            content = self._content(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor, self._is_exclusive = descriptor, is_exclusive
        self.count = max(self.count, content)
        self._place = max(self._place, content)

    def _open(self, is_exclusive: bool) -> int:
        if is_exclusive:
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # A copy that nobody wrote to.
            return os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)

    def _wait(self, descriptor: int, kind: int) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        "cannot use this database now",
                        path=str(self.path.parent),
                        expected=f"its lock within {_PATIENCE_S:.0f} s",
                        got="another process that holds it",
                        fix=f"end that process: fuser {self.path}",
                    ) from error
                time.sleep(_PAUSE_S)
            else:
                return

    def _content(self, descriptor: int) -> int:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            return 0
        content = os.pread(descriptor, 20, 0)
        return int(content) if content.isdigit() else 0

    def _release(self) -> None:
        # Unlocked by hand: a child that was forked meanwhile holds the file open too.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
        self._descriptor = -1

    def _forget(self) -> None:
        """Let a forked child start afresh; the lock stays its parent's."""
        self._threads = threading.RLock()
        self._is_lost = bool(self._depth)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


_LOCKS: Final[weakref.WeakSet[Lock]] = weakref.WeakSet()


@functools.cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_child=_in_child)


def _in_child() -> None:
    for lock in list(_LOCKS):
        lock._forget()
