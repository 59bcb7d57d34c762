"""Files that are written aside, and appear whole and durable under their name.

What was written is on its way to the disk while more is written, so that little is left
to wait for at the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ptutils.meta.codec import Buffer
from ptutils.meta.formats.atomic import sync_folder

__all__ = ["UNFINISHED", "File", "writing_aside"]

UNFINISHED: Final = ".tmp"
"""Ends the name of a file that is being written, or was when its writer was killed."""

_SYNC_BYTES: Final = 16 << 20
"""After so many bytes the disk is told to begin, or to go on."""


@contextlib.contextmanager
def writing_aside(folder: Path) -> Iterator[File]:
    """Open a new file in a folder; give it a name before the block ends.

    It is locked until it has its name. If the block raises, nothing is left behind.

    Raises:
        OSError: If it cannot be written.
    """
    aside = folder / f".{os.urandom(8).hex()}{UNFINISHED}"
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            file = File(opened.fileno())
            try:
                yield file
            finally:
                file.end_sync()
            os.fsync(opened.fileno())
            aside.rename(folder / file.name)  # While it is locked.
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(folder)


class File:
    """A file that is written from the beginning, each buffer wholly.

    Args:
        descriptor: Of the open file.

    Attributes:
        name: What it is to be called.
    """

    def __init__(self, descriptor: int) -> None:
        self.name = ""
        self._descriptor = descriptor
        self._unsynced = 0
        self._wanted = threading.Semaphore(0)
        self._is_over = False
        self._thread: threading.Thread | None = None
        self._fault: OSError | None = None

    def skip(self, size: int) -> None:
        """Leave room at the beginning."""
        os.lseek(self._descriptor, size, os.SEEK_SET)

    def write(self, buffer: Buffer) -> None:
        """Write bytes after those that were written last."""
        rest = memoryview(buffer)
        while rest:  # One call writes at most 2 GiB, and less on a full disk.
            written = os.write(self._descriptor, rest)
            self._unsynced += written
            rest = rest[written:]
            if self._unsynced >= _SYNC_BYTES:
                self._sync()

    def write_head(self, head: bytes) -> None:
        """Write the bytes for which room was left; no others follow.

        Raises:
            OSError: If what was written could not be brought to the disk.
        """
        self.end_sync()
        if self._fault is not None:
            raise self._fault  # The system tells of it once.
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.write(head)

    def end_sync(self) -> None:
        """Wait for what is on its way to the disk."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._is_over = True
            self._wanted.release()
            thread.join()

    def _sync(self) -> None:
        """Let what was written be brought to the disk in the background."""
        self._unsynced = 0
        if self._thread is None:
            thread = threading.Thread(target=self._keep_syncing, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # pragma: no cover - a program that is ending
                return  # It is done at the end anyway.
            self._thread = thread
        self._wanted.release()

    def _keep_syncing(self) -> None:
        while True:
            self._wanted.acquire()
            while self._wanted.acquire(blocking=False):
                """What was asked for several times is done once."""
            if self._is_over:
                return
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                self._fault = self._fault or error
