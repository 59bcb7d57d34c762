"""Artifacts: bytes addressed by their blake3, in packs that are never changed.

A pack is a file, see :mod:`ptutils.db.packing`. It is written aside, made durable and
then renamed: a pack is whole, or not there.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import mmap
import os
import struct
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Final

from blake3 import blake3

from ptutils.core.records.identity import now
from ptutils.db.aside import UNFINISHED, writing_aside
from ptutils.db.compression import (
    COMPRESSED_SUFFIX,
    HEAD_BYTES,
    SUFFIX,
    Compression,
    expanded,
    expanded_size,
    lots,
)
from ptutils.db.mapping import MISSING, Maps, PrivateMaps, Span, unreadable
from ptutils.db.packing import Layout, is_file_name
from ptutils.errors import CorruptError, DatabaseError, NotFoundError
from ptutils.meta.codec import Buffer
from ptutils.meta.formats.atomic import sync_folder

__all__ = [
    "DAMAGED_FILES",
    "Packs",
    "Place",
    "absent",
    "digest_of",
    "put_aside",
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
    """Where an artifact lies.

    Attributes:
        pack: The name of the file.
        offset: Of the first byte in it; of its frame, if it is compressed.
        size: Of the artifact in bytes.
    """

    pack: str
    offset: int
    size: int


class Packs:
    """The folder of packs beside a database.

    Args:
        folder: Made when the first pack is written.
        maps: Shared with other folders, if given.
        compression: Of new packs.
    """

    def __init__(
        self,
        folder: Path,
        maps: Maps | None = None,
        compression: Compression = None,
    ) -> None:
        self.folder = folder
        self._maps = maps or Maps()
        self._compression: Compression = compression
        self._private: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()

    def write(self, artifacts: Mapping[str, Buffer]) -> dict[str, Place]:
        """Write new packs, durable on return, and say where each artifact lies.

        There is one, or with compression one for what shrinks and one for what does
        not; several where frames take much memory.

        Args:
            artifacts: By digest; at least one.

        Raises:
            DatabaseError: If the folder cannot be written; at most whole packs that
                nobody needs are left behind.
        """
        places: dict[str, Place] = {}
        for suffix, contents in lots(artifacts, self._compression):
            for digest, place in self._write(suffix, [contents], contents).items():
                places[digest] = replace(place, size=len(artifacts[digest]))
        return places

    def write_hashed(
        self, batches: Iterator[Mapping[str, Buffer]], most: Collection[Buffer]
    ) -> dict[str, Place]:
        """Write a new pack while its artifacts are still being hashed.

        Args:
            batches: Artifacts by digest; nothing is written if there are none.
            most: All that there may be.

        Raises:
            DatabaseError: As :meth:`write`.
        """
        if self._compression is not None:
            rest = {digest: each for batch in batches for digest, each in batch.items()}
            return self.write(rest) if rest else {}
        first = next((batch for batch in batches if batch), None)
        if first is None:
            return {}
        numbered = {f"{number:064x}": each for number, each in enumerate(most)}
        return self._write(SUFFIX, chain([first], batches), numbered)

    def _write(
        self,
        suffix: str,
        batches: Iterable[Mapping[str, Buffer]],
        most: Mapping[str, Buffer],
    ) -> dict[str, Place]:
        """Write one pack, and say where each artifact lies.

        Args:
            suffix: Of its name.
            batches: What comes, by digest.
            most: What may come at most, by names as long as digests.
        """
        layout = Layout(most)
        try:
            self._make_folder()
            with writing_aside(self.folder) as file:
                file.skip(layout.room)
                for batch in batches:
                    for digest, artifact in batch.items():
                        gap = layout.add(digest, len(artifact))
                        file.write(bytes(gap))
                        file.write(artifact)
                header = layout.header()
                file.write_head(header)
                file.name = f"{digest_of(header)}{suffix}"
        except OSError as error:
            raise DatabaseError(
                "cannot write an artifact pack",
                path=str(self.folder),
                expected="room, and the right to write",
                got=error.strerror or str(error),
                fix="free space or make the folder writable; nothing was changed",
            ) from error
        return {
            digest: Place(pack=file.name, offset=offset, size=size)
            for digest, (offset, size) in layout.places().items()
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

    def private(self, places: Mapping[str, Place]) -> PrivateMaps:
        """Return what maps artifacts for one reader, by digest."""
        packs = {place.pack for place in places.values() if _is_sound(place)}
        paths = {
            pack: self.folder / pack
            for pack in packs
            if not pack.endswith(COMPRESSED_SUFFIX)
        }
        spans = {
            digest: Span(paths[place.pack], place.offset, place.offset + place.size)
            for digest, place in places.items()
            if place.pack in paths
        }
        return PrivateMaps(spans, self._private)

    def holds(self, place: Place) -> bool:
        """Return whether a pack's file is there, and long enough."""
        if place.pack.endswith(COMPRESSED_SUFFIX):
            return place.offset in self.frames_in(place.pack)
        return self.size_of(place.pack) >= place.offset + place.size

    def frames_in(self, pack: str) -> dict[int, int]:
        """Return the size of each frame in a pack by where it begins.

        A pack that is not compressed, is damaged or is not there has none.
        """
        path = self.folder / pack
        if not pack.endswith(COMPRESSED_SUFFIX):
            return {}
        try:
            stat = path.stat()
            return _frames(path, (stat.st_ino, stat.st_size, stat.st_mtime_ns))
        except (*_NO_PACK, *MISSING):
            return {}
        except OSError as error:
            raise unreadable(path, error) from error

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
        return [path for path in found if path.suffix in (SUFFIX, UNFINISHED)]

    def contents(self) -> Iterator[tuple[str, Place]]:
        """Yield what the packs themselves say is in them; no artifact is read."""
        for path in self.files():
            try:
                with contextlib.suppress(*_NO_PACK, *MISSING):
                    yield from _places(path)
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
        _frames.cache_clear()

    def _view(self, digest: str, place: Place) -> memoryview:
        if not _is_sound(place):
            raise self._corrupt(digest, place, "no place in a file of this folder")
        path = self.folder / place.pack
        try:
            if place.pack.endswith(COMPRESSED_SUFFIX):
                return self._expanded(path, place)
            return self._maps.get(path, place.offset, place.offset + place.size)
        except ValueError as error:
            raise self._corrupt(digest, place, str(error)) from error
        except MISSING as error:
            raise self._corrupt(digest, place, error.strerror or str(error)) from error
        except OSError as error:
            raise unreadable(path, error) from error

    def _expanded(self, path: Path, place: Place) -> memoryview:
        size = self.frames_in(place.pack).get(place.offset)
        if size is None:
            raise ValueError("no whole file with a frame there")
        frame = self._maps.get(path, place.offset, place.offset + size)
        return expanded(frame, place.size)

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


def _is_sound(place: Place) -> bool:
    """Return whether an index entry can be true: no path, no negative number."""
    return (
        type(place.pack) is str
        and type(place.offset) is type(place.size) is int
        and place.offset >= 0 <= place.size
        and is_file_name(place.pack)
    )


def _places(path: Path) -> Iterator[tuple[str, Place]]:
    with path.open("rb") as file:
        for digest, start, size in _spans(path):
            if not path.name.endswith(COMPRESSED_SUFFIX):
                yield digest, Place(pack=path.name, offset=start, size=size)
                continue
            file.seek(start)
            with contextlib.suppress(ValueError):  # It may be damaged, one of many.
                size_told = expanded_size(file.read(HEAD_BYTES))
                yield digest, Place(pack=path.name, offset=start, size=size_told)


@functools.lru_cache(maxsize=64)
def _frames(path: Path, stamp: tuple[int, ...]) -> dict[int, int]:
    """Return the size of each frame by its offset; the stamp tells files apart."""
    return {start: size for _, start, size in _spans(path)}


def _spans(path: Path) -> list[tuple[str, int, int]]:
    """Return what a pack's header says: digests, where they begin, how many bytes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if path.suffix != SUFFIX or length > size:
            return []
        header = json.loads(file.read(length))
    spans = []
    for digest, tensor in header.items():
        start, stop = tensor["data_offsets"]
        is_sound = type(start) is int and type(stop) is int and 0 <= start <= stop
        if is_sound and len(digest) == _DIGEST_LETTERS and 8 + length + stop <= size:
            spans.append((digest, 8 + length + start, stop - start))
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
