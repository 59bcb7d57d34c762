"""Files mapped into memory: the ones used last stay mapped, the others are let go."""

from __future__ import annotations

import errno
import mmap
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ptutils.errors import DatabaseError

__all__ = ["MISSING", "Maps", "unreadable"]

_MOST: Final = 64
"""Each map keeps a file descriptor, of which a process may have only 256."""

_TOO_MANY: Final = (errno.EMFILE, errno.ENFILE)

MISSING: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
"""What says that a file is not there; any other OSError says nothing about it."""


@dataclass(frozen=True)
class _Map:
    stamp: tuple[int, int, int]
    content: mmap.mmap


class Maps:
    """Mapped files, for any number of threads."""

    def __init__(self) -> None:
        self._maps: dict[Path, _Map] = {}
        self._in_use: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()

    def get(self, path: Path, start: int, stop: int) -> memoryview:
        """Return a span of a file; it stays valid when the map is let go.

        Raises:
            ValueError: If the file is shorter; the message is its size.
            OSError: If it cannot be opened.
        """
        # Each step is atomic, so that no lock is needed, which a fork would inherit.
        found = self._maps.pop(path, None)
        # Reading past the end of a mapped file kills the process: look first.
        stat = path.stat()
        if stat.st_size < stop:
            raise ValueError(f"{stat.st_size} bytes")
        stamp = (stat.st_dev, stat.st_ino, stat.st_size)
        if found is None or found.stamp != stamp:
            if len(self._in_use) >= 2 * _MOST:  # Somebody holds a view of each.
                return memoryview(_read(path, start, stop))
            found = _Map(stamp, self._opened(path))
            self._in_use.add(found.content)
        self._maps[path] = found
        for oldest in list(self._maps)[:-_MOST]:
            self._maps.pop(oldest, None)
        return memoryview(found.content)[start:stop]

    def forget(self, path: Path) -> None:
        """Let go of one file."""
        self._maps.pop(path, None)

    def clear(self) -> None:
        """Let go of all files; views that are still in use stay valid."""
        self._maps.clear()

    def _opened(self, path: Path) -> mmap.mmap:
        try:
            return _mapped(path)
        except OSError as error:
            if error.errno not in _TOO_MANY:
                raise
        self.clear()
        return _mapped(path)


def unreadable(path: Path, error: OSError) -> DatabaseError:
    """Return the error for a file that may be sound, but cannot be read now."""
    fix = "see what keeps the system from reading it; nothing was changed"
    if error.errno in _TOO_MANY:
        fix = "close files, or allow more of them: ulimit -n 4096"
    elif isinstance(error, PermissionError):
        fix = f"give yourself the right to read it: chmod u+rX {path}"
    return DatabaseError(
        "cannot read a file of this database",
        path=str(path),
        expected="a file that may be read",
        got=error.strerror or str(error),
        fix=fix,
    )


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def _read(path: Path, start: int, stop: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(stop - start)
