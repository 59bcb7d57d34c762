"""Files mapped into memory: the ones used last stay mapped, the others are let go."""

from __future__ import annotations

import errno
import mmap
import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from ptutils.errors import DatabaseError

__all__ = ["MISSING", "Maps", "PrivateMaps", "Span", "unreadable"]

_MOST: Final = 64
"""Each map keeps a file descriptor, of which a process may have only 256."""

_ALIGNMENT: Final = 8
"""What elements of any type need, so that memory can be used where it is mapped."""

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


@dataclass(frozen=True, slots=True)
class Span:
    """Where bytes lie in a file, which is as it was when this was found out.

    Attributes:
        path: Of the file.
        start: The first byte.
        stop: One past the last.
        stamp: Inode, time of change in nanoseconds and size; None for a file that never
            changes.
    """

    path: Path
    start: int
    stop: int
    stamp: tuple[int, int, int] | None = None


class PrivateMaps:
    """Files mapped for one reader, who may write to the memory, and never to a file.

    Args:
        spans: What may be asked for, by name.
        in_use: All such maps of a database that somebody still looks at, for counting.
    """

    def __init__(
        self, spans: Mapping[str, Span], in_use: weakref.WeakSet[mmap.mmap]
    ) -> None:
        self._spans = spans
        self._in_use = in_use
        self._maps: dict[Path, mmap.mmap | None] = {}

    def view(self, names: Sequence[str]) -> memoryview | None:
        """Return the bytes under some names, if they lie one after another in a file.

        None where they do not, where the file is another than it was, or where too many
        are mapped.
        """
        spans = [self._spans.get(name) for name in names]
        first, last = spans[0], spans[-1]
        if first is None or last is None or first.start % _ALIGNMENT:
            return None
        for one, other in pairwise(spans):
            if one is None or other is None or one.path != other.path:
                return None
            if one.stop != other.start:
                return None
        content = self._map(first)
        if content is None or len(content) < last.stop:
            return None
        return memoryview(content)[first.start : last.stop]

    def _map(self, span: Span) -> mmap.mmap | None:
        if span.path not in self._maps:
            content = _privately(span) if len(self._in_use) < _MOST else None
            if content is not None:
                self._in_use.add(content)
            self._maps[span.path] = content
        return self._maps[span.path]


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


def _privately(span: Span) -> mmap.mmap | None:
    try:
        with span.path.open("rb") as file:
            stat = os.fstat(file.fileno())
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if stat.st_size < span.stop or span.stamp not in (None, stamp):
                return None
            return mmap.mmap(file.fileno(), stat.st_size, access=mmap.ACCESS_COPY)
    except (OSError, ValueError):  # Who reads it in another way says what is wrong.
        return None


def _read(path: Path, start: int, stop: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(stop - start)
