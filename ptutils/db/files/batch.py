"""Many files changed as one: all of it, or nothing, whatever happens meanwhile.

New contents are written aside first, in the folder ``.aside``, and made durable. Then
one file, ``.journal``, says what is to be done: which of them to rename to what, which
bytes to append where, what to remove. When that is durable the transaction has
happened; the rest can be repeated as often as needed, and is, by whoever next locks the
folder for writing, if the process is killed before it is done.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from ptutils.db.files.room import take_room
from ptutils.errors import CorruptError, DatabaseError
from ptutils.meta.formats.atomic import sync_folder

__all__ = ["ASIDE", "JOURNAL", "Batch", "replay"]

ASIDE: Final = ".aside"
JOURNAL: Final = ".journal"
_LASTING: Final = ("runs", "documents", "artifacts")


class Batch:
    """What a transaction is going to do to the files of a folder.

    Args:
        root: The folder; all paths are inside it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._renames: dict[str, str] = {}
        self._moves: dict[str, str] = {}
        self._appends: dict[str, tuple[int, bytes]] = {}
        self._removals: set[str] = set()
        self._aside: list[Path] = []

    def write(self, path: Path, write: Callable[[BinaryIO], None]) -> None:
        """Replace a file, or make it; ``write`` fills it now, aside."""
        aside = self._root / ASIDE / secrets.token_hex(8)
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        self._aside.append(aside)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            _finish(file)
        self._renames[self._inside(path)] = self._inside(aside)

    def move(self, source: Path, target: Path) -> None:
        """Rename a file that is there, before another may take its name."""
        self._moves[self._inside(target)] = self._inside(source)

    def append(self, path: Path, offset: int, content: bytes) -> None:
        """Write at the end of a file; what lies past the offset is cut off."""
        self._appends[self._inside(path)] = offset, content

    def remove(self, path: Path) -> None:
        """Remove a file, and the folders that are empty then."""
        self._removals.add(self._inside(path))

    def commit(self) -> None:
        """Do it all, durably; the folder must be locked for writing.

        Raises:
            OSError: If there is no room, say; then nothing was done.
        """
        steps: dict[str, list[Any]] = {
            "moves": [[old, new] for new, old in self._moves.items()],
            "renames": [[old, new] for new, old in self._renames.items()],
            "appends": [
                [path, offset, base64.b64encode(content).decode()]
                for path, (offset, content) in self._appends.items()
            ],
            "removals": sorted(self._removals - self._renames.keys()),
        }
        if not any(steps.values()):
            return
        for name in (*self._moves, *self._renames, *self._appends, *self._removals):
            _inside(self._root, name)
        for name in (*self._moves, *self._renames, *self._appends):
            make_folder(self._root, (self._root / name).parent)
        with self._reserved():
            is_one = sum(map(len, steps.values())) == len(self._renames) == 1
            if not is_one:  # One rename is whole by itself.
                write_whole(self._root / JOURNAL, json.dumps(steps).encode())
        _do(self._root, steps)

    def discard(self) -> None:
        """Remove what was written aside and never came to its place."""
        for aside in self._aside:
            aside.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _reserved(self) -> Iterator[None]:
        """Take the room for what is appended, while going back is possible."""
        ends: list[tuple[Path, int]] = []
        try:
            for name, (offset, content) in self._appends.items():
                path = self._root / name
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    ends.append((path, offset))
                    take_room(descriptor, offset, len(content))
                finally:
                    os.close(descriptor)
            yield
        except OSError:
            for path, offset in ends:
                os.truncate(path, offset)
            raise

    def _inside(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def replay(root: Path) -> bool:
    """Finish the transaction of a process that was killed; the lock must be held.

    Returns:
        Whether there was one.

    Raises:
        CorruptError: If its journal cannot be read.
    """
    try:
        text = (root / JOURNAL).read_bytes()
    except FileNotFoundError:
        return False
    try:
        steps = json.loads(text)
        _do(root, steps)
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(
            "cannot finish a transaction",
            path=str(root / JOURNAL),
            expected="the journal as it was written",
            got=str(error),
            fix="remove this file: what it describes was never acknowledged",
        ) from error
    return True


def make_folder(root: Path, folder: Path) -> None:
    """Make a folder below the root durably, for the owner only."""
    if folder.is_dir():
        return
    make_folder(root, folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole and durable, for the owner only."""
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _do(root: Path, steps: dict[str, Any]) -> None:
    """Do what a journal says; doing it twice is doing it once."""
    try:
        changed = {*_renamed(root, steps)}
        for name, offset, content in steps["appends"]:
            _append(_inside(root, name), offset, base64.b64decode(content))
            changed.add(_inside(root, name).parent)
        for name in steps["removals"]:
            _inside(root, name).unlink(missing_ok=True)
            changed.add(_inside(root, name).parent)
        for folder in changed:
            _settle(root, folder)
        (root / JOURNAL).unlink(missing_ok=True)
    except CorruptError:
        raise
    except OSError as error:
        raise DatabaseError(
            "cannot finish a transaction",
            path=str(root),
            expected="room, and the right to write",
            got=f"{error.strerror or error}: {error.filename}",
            fix="mend that; it is finished when the database is next used",
        ) from error


def _renamed(root: Path, steps: dict[str, Any]) -> Iterator[Path]:
    """Rename what is to be renamed, and yield the folders that it concerns."""
    for old, new in steps["moves"]:
        # If it was moved already, the old name may be that of another file now.
        if not _inside(root, new).exists():
            _inside(root, old).replace(_inside(root, new))
        yield from (_inside(root, name).parent for name in (old, new))
    for old, new in steps["renames"]:
        target = _inside(root, new)
        with contextlib.suppress(FileNotFoundError):  # It was renamed already.
            _inside(root, old).replace(target)
        yield target.parent


def _append(path: Path, offset: int, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.seek(offset)
        file.write(content)
        file.truncate()
        _finish(file)


def _finish(file: BinaryIO) -> None:
    """Make a file durable, with a time that no other one has.

    The clocks of file systems tick every few milliseconds: two files that replace each
    other could look the same.
    """
    file.flush()
    moment = time.time_ns()
    os.utime(file.fileno(), ns=(moment, moment))
    os.fsync(file.fileno())


def _settle(root: Path, folder: Path) -> None:
    """Make a folder's names durable; remove it, and those above it, if empty."""
    while folder not in _kept(root):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:  # It is not empty.
            break
        folder = folder.parent
    sync_folder(folder)


def _kept(root: Path) -> Iterable[Path]:
    return (root, *(root / name for name in _LASTING))


def _inside(root: Path, name: str) -> Path:
    """Return a path, unless it leads out of the folder, be it by a link."""
    path = root / name
    if path.is_symlink() or not path.parent.resolve().is_relative_to(root.resolve()):
        raise CorruptError(
            "cannot finish a transaction",
            path=str(path),
            expected="a file inside of the database's folder",
            got="a link, or a path that leads out of it",
            fix="replace links by what they lead to",
        )
    return path
