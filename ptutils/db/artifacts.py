"""Artifacts: bytes addressed by their blake3, in packs that are never changed.

A pack is a file, see :mod:`ptutils.db.packing`. It is written aside, made durable and
then renamed: a pack is whole, or not there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blake3 import blake3

from ptutils.core.records.identity import now
from ptutils.db.mapping import MISSING, Maps, unreadable
from ptutils.db.packing import layout
from ptutils.errors import CorruptError, DatabaseError, NotFoundError
from ptutils.meta.codec import Buffer

__all__ = [
    "DAMAGED_FILES",
    "Packs",
    "Place",
    "absent",
    "digest_of",
    "put_aside",
    "sync_folder",
]

DAMAGED_FILES: Final = "damaged"
"""The folder beside packs for damaged files, for a person to look at."""


_DIGEST_LETTERS: Final = 64
_NO_PACK: Final = (
    AttributeError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""What reading the header of a file raises that is no pack, whoever made it."""
_SUFFIX: Final = ".safetensors"
_UNFINISHED: Final = ".tmp"
_LONGEST_NAME: Final = 255
_FIX: Final = (
    "restore this file from a copy, or go back to a checkpoint that does not need it"
)


def digest_of(artifact: Buffer) -> str:
    """Return the address of some bytes, on one thread."""
    return blake3(artifact).hexdigest()


def absent(digest: str, where: str) -> NotFoundError:
    """Return the error for a digest that no pack holds."""
    return NotFoundError(
        f"found no artifact {digest}", path=where, expected="one that was stored here"
    )


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an artifact lies: a pack's file name, and a span of it in bytes."""

    pack: str
    offset: int
    size: int


class Packs:
    """The folder of packs beside a database.

    Args:
        folder: Made when the first pack is written.
        maps: Shared with other folders, if given.
    """

    def __init__(self, folder: Path, maps: Maps | None = None) -> None:
        self.folder = folder
        self._maps = maps or Maps()

    def write(self, artifacts: Mapping[str, Buffer]) -> dict[str, Place]:
        """Write one new pack, durable on return, and say where each artifact lies.

        Args:
            artifacts: By digest; at least one.

        Raises:
            DatabaseError: If the folder cannot be written; nothing is left behind.
        """
        header, offsets = layout(artifacts)
        name = f"{digest_of(header)}{_SUFFIX}"
        try:
            self._make_folder()
            with self._aside(name) as file:
                file.write(header)
                for digest in offsets:
                    file.write(bytes(offsets[digest] - file.tell()))
                    file.write(artifacts[digest])
        except OSError as error:
            raise DatabaseError(
                "cannot write an artifact pack",
                path=str(self.folder),
                expected="room, and the right to write",
                got=error.strerror or str(error),
                fix="free space or make the folder writable; nothing was changed",
            ) from error
        return {
            digest: Place(pack=name, offset=offset, size=len(artifacts[digest]))
            for digest, offset in offsets.items()
        }

    def read(self, digest: str, place: Place) -> memoryview:
        """Return an artifact, mapped and verified.

        Raises:
            CorruptError: If the pack is gone, too short, or holds other bytes.
            DatabaseError: If it cannot be read now, which says nothing about it.
        """
        view = self._view(digest, place)
        found = digest_of(view)
        if found != digest:
            self._maps.forget(self.folder / place.pack)
            raise self._corrupt(digest, place, f"bytes with digest {found}")
        return view

    def holds(self, place: Place) -> bool:
        """Return whether a pack's file is there, and long enough."""
        return self.size_of(place.pack) >= place.offset + place.size

    def size_of(self, pack: str) -> int:
        """Return the size of a pack's file in bytes, or -1 if it is not there."""
        path = self.folder / pack
        try:
            return path.stat().st_size
        except MISSING:
            return -1
        except OSError as error:
            raise unreadable(path, error) from error

    def files(self) -> list[Path]:
        """Return all packs, and files that a writer has not finished."""
        try:
            found = list(self.folder.iterdir())
        except MISSING:
            return []
        except OSError as error:
            raise unreadable(self.folder, error) from error
        return [path for path in found if path.suffix in (_SUFFIX, _UNFINISHED)]

    def contents(self) -> Iterator[tuple[str, Place]]:
        """Yield what the packs themselves say is in them; no artifact is read."""
        for path in self.files():
            try:
                with contextlib.suppress(*_NO_PACK, *MISSING):
                    yield from _spans(path)
            except OSError as error:
                raise unreadable(path, error) from error

    def is_being_written(self, path: Path) -> bool:
        """Return whether the process that began to write a file is still at it."""
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except MISSING:
            raise
        except OSError as error:
            raise unreadable(path, error) from error
        return False

    def close(self) -> None:
        """Let go of the mapped packs; views that are still in use stay valid."""
        self._maps.clear()

    def _view(self, digest: str, place: Place) -> memoryview:
        if not _is_sound(place):
            raise self._corrupt(digest, place, "no place in a file of this folder")
        path = self.folder / place.pack
        try:
            return self._maps.get(path, place.offset, place.offset + place.size)
        except ValueError as error:
            raise self._corrupt(digest, place, str(error)) from error
        except MISSING as error:
            raise self._corrupt(digest, place, error.strerror or str(error)) from error
        except OSError as error:
            raise unreadable(path, error) from error

    def _corrupt(self, digest: str, place: Place, got: str) -> CorruptError:
        return CorruptError(
            f"cannot read artifact {digest}",
            path=str(self.folder / str(place.pack)),
            expected=f"{place.size} bytes at {place.offset} with that digest",
            got=got,
            fix=_FIX,
        )

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.folder.parent)

    @contextlib.contextmanager
    def _aside(self, name: str) -> Iterator[_File]:
        aside = self.folder / f".{os.urandom(8).hex()}{_UNFINISHED}"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield _File(file.fileno())
                os.fsync(file.fileno())
                aside.rename(self.folder / name)  # While it is locked.
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        sync_folder(self.folder)


def _is_sound(place: Place) -> bool:
    """Return whether an index entry can be true: no path, no negative number."""
    numbers = (place.offset, place.size)
    return (
        place.pack not in (".", "..")
        and Path(str(place.pack)).name == place.pack
        and len(os.fsencode(place.pack)) <= _LONGEST_NAME
        and all(type(number) is int and number >= 0 for number in numbers)
    )


def _spans(path: Path) -> list[tuple[str, Place]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if path.suffix != _SUFFIX or length > size:
            return []
        header = json.loads(file.read(length))
    spans = []
    for digest, tensor in header.items():
        start, stop = tensor["data_offsets"]
        place = Place(pack=path.name, offset=8 + length + start, size=stop - start)
        if len(digest) == _DIGEST_LETTERS and place.offset + place.size <= size:
            spans.append((digest, place))
    return spans


def put_aside(path: Path, folder: Path) -> Path:
    """Move a damaged file into a folder, under a name of its own; return where."""
    moment = f"{now():%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        target = folder / f"{path.stem}.{moment}{path.suffix}"
        path.rename(target)
        sync_folder(folder)
        sync_folder(path.parent)
    except OSError as error:
        raise DatabaseError(
            "cannot put a damaged file aside",
            path=str(path),
            expected=f"the right to move it to {str(folder)!r}",
            got=error.strerror or str(error),
            fix="make both folders writable; nothing was changed",
        ) from error
    return target


class _File:
    """A file that is written from the beginning, each buffer wholly."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = 0

    def tell(self) -> int:
        return self._position

    def write(self, buffer: Buffer) -> None:
        rest = memoryview(buffer)
        while rest:  # One call writes at most 2 GiB, and less on a full disk.
            written = os.write(self._descriptor, rest)
            self._position += written
            rest = rest[written:]


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
