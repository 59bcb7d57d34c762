"""Where artifacts lie: in the checkpoints' files, and in packs in ``artifacts``.

Both are safetensors files, see :mod:`ptutils.db.files.headers`. A checkpoint that is
deleted leaves its file as a pack, because what was put stays until it is dropped.

When an artifact was last put is the time of its file, or what the JSON beside a pack
says.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import secrets
import time
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ptutils.core.hooks import Stored
from ptutils.core.records.identity import now
from ptutils.db.artifacts import DAMAGED_FILES, Packs, Place, absent, put_aside
from ptutils.db.files.batch import Batch, write_whole
from ptutils.db.files.headers import Held, entries_in
from ptutils.db.files.lock import Lock
from ptutils.db.files.names import names_in
from ptutils.db.mapping import Maps, PrivateMaps, Span
from ptutils.errors import CorruptError, NotFoundError
from ptutils.meta.codec import Buffer
from ptutils.meta.formats.atomic import sync_folder

__all__ = ["Holding"]

_Stamp = tuple[int, int, int]
_File = tuple[_Stamp, dict[str, Held]]


class Holding:
    """All artifacts of a folder; the lock must be held where nothing else is said.

    Args:
        root: The folder of the database.
        lock: Its lock.
    """

    def __init__(self, root: Path, lock: Lock) -> None:
        self._root = root
        self._lock = lock
        self._folder = root / "artifacts"
        self._maps = Maps()
        self._private: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._files: dict[Path, _File] = {}
        self._paths: dict[str, set[Path]] = {}
        self._count = -1

    def look(self) -> None:
        """Learn what changed, if the count of transactions says that something did."""
        count = self._lock.count
        if count == self._count:
            return
        seen = {path: os.stat(path) for path in self._present()}
        for path in self._files.keys() - seen.keys():
            self._forget(path)
        for path, stat in seen.items():
            stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if path not in self._files or self._files[path][0] != stamp:
                self._forget(path)
                self._learn(path, stamp)
        self._count = count

    def close(self) -> None:
        """Let go of mapped files."""
        self._maps.clear()
        self._count = -1

    def size(self, digest: str) -> int:
        """Return the size of an artifact.

        Raises:
            NotFoundError: If it is not here.
        """
        return self._held(digest)[1].size

    def read(self, digest: str) -> memoryview:
        """Return an artifact, verified.

        Raises:
            NotFoundError: If it is not here.
            CorruptError: If its bytes are not what they were, wherever it is.
        """
        self._held(digest)
        *others, last = self._by_worth(digest)
        for path in others:
            with contextlib.suppress(CorruptError):
                return self.view(path, self._files[path][1][digest])
        return self.view(last, self._files[last][1][digest])

    def private(self, digests: Iterable[str]) -> PrivateMaps:
        """Return what maps artifacts for one reader; see :meth:`Hooks._private`."""
        self.look()
        spans = {}
        for digest in self._paths.keys() & set(digests):
            path = self._best(digest)
            stamp, inside = self._files[path]
            start, size = inside[digest].offset, inside[digest].size
            spans[digest] = Span(path, start, start + size, stamp)
        return PrivateMaps(spans, self._private)

    def has_copy(self, digest: str) -> bool:
        """Return whether an artifact can be read, wherever it is."""
        try:
            self.read(digest)
        except (CorruptError, NotFoundError):
            return False
        return True

    def renew(self, digests: Iterable[str]) -> set[str]:
        """Note that artifacts were put now; return those that are here."""
        self.look()
        here = {each for each in digests if self._is_kept(each)}
        by_path: dict[Path, set[str]] = {}
        for digest in here:
            by_path.setdefault(self._best(digest), set()).add(digest)
        for path, some in by_path.items():
            if path.parent == self._folder:
                puts = {**self._puts(path), **dict.fromkeys(some, _milliseconds())}
                write_whole(_beside(path), json.dumps({"put": puts}).encode())
            else:
                os.utime(path)
        return here

    def write(self, artifacts: Mapping[str, Buffer]) -> Path:
        """Write a new pack and return where; no lock is needed."""
        places = Packs(self._folder).write(artifacts)
        path = self._folder / next(iter(places.values())).pack
        moment = time.time_ns()  # The clock of file systems is a little behind.
        os.utime(path, ns=(moment, moment))
        return path

    def stored(self, digests: Iterable[str] | None) -> dict[str, Stored]:
        """Return size and last put of the digests, or of all."""
        self.look()
        asked = self._paths if digests is None else set(digests) & self._paths.keys()
        return {each: self._stored(each) for each in asked if self._is_kept(each)}

    def drop(self, digests: Collection[str], before: datetime) -> int:
        """Forget artifacts in packs; return how many bytes that frees."""
        old = {
            digest
            for digest, stored in self.stored(digests).items()
            if stored.put < before
        }
        freed = 0
        for path in [path for path in self._files if path.parent == self._folder]:
            inside = self._files[path][1]
            gone = [inside[digest] for digest in old & inside.keys()]
            if gone:
                freed += sum(held.size for held in gone)
                self._shrink(path, [h for d, h in inside.items() if d not in old])
        return freed

    def put_aside(self, digests: Collection[str]) -> list[Path]:
        """Forget those in packs that cannot be read; return where their packs are now.

        The lock is held for writing.
        """
        self.look()
        moved = []
        concerned = [self._paths.get(digest, set()) for digest in digests]
        for path in set[Path]().union(*concerned):
            inside = list(self._files[path][1].values())
            kept = [held for held in inside if self._is_readable(path, held)]
            if path.parent == self._folder and len(kept) < len(inside):
                self._copy(path, kept)
                moved.append(put_aside(path, self._root / DAMAGED_FILES))
                _beside(path).unlink(missing_ok=True)
        return moved

    def release(self, batch: Batch, tensors: Path) -> None:
        """Let go of a checkpoint's file; what was put there stays, in a pack."""
        self.look()
        held = self._files.get(tensors, ((0, 0, 0), {}))[1].values()
        if any(not each.is_inline for each in held):
            pack = self._folder / f"{secrets.token_hex(16)}.safetensors"
            batch.move(tensors, pack)
        else:
            batch.remove(tensors)

    def absorb(self, batch: Batch, digests: Collection[str]) -> None:
        """Remove the packs that hold nothing but what checkpoints hold too.

        Args:
            batch: To which a checkpoint is added.
            digests: Of its artifacts.
        """
        self.look()
        for path in {
            path for digest in digests for path in self._paths.get(digest, ())
        }:
            if path.parent == self._folder and all(
                digest in digests or self._is_in_checkpoint(digest)
                for digest in self._files[path][1]
            ):
                batch.remove(path)
                batch.remove(_beside(path))

    def _is_in_checkpoint(self, digest: str) -> bool:
        return any(
            path.parent != self._folder and not self._files[path][1][digest].is_inline
            for path in self._paths[digest]
        )

    def _present(self) -> Iterator[Path]:
        runs = self._root / "runs"
        of_runs = (runs / name / "checkpoints" for name in names_in(runs))
        for folder in (self._folder, *of_runs):
            for name in names_in(folder):
                if name.endswith(".safetensors"):
                    yield folder / name

    def _learn(self, path: Path, stamp: _Stamp) -> None:
        try:
            found = entries_in(path)
        except CorruptError:
            return  # Verification tells; what is asked for is not found.
        self._files[path] = stamp, {held.digest: held for held in found}
        for held in found:
            self._paths.setdefault(held.digest, set()).add(path)

    def _forget(self, path: Path) -> None:
        for digest in self._files.pop(path, ((), {}))[1]:
            paths = self._paths[digest]
            paths.discard(path)
            if not paths:
                del self._paths[digest]

    def _held(self, digest: str) -> tuple[Path, Held]:
        self.look()
        if digest not in self._paths:
            raise absent(digest, str(self._root))
        path = self._best(digest)
        return path, self._files[path][1][digest]

    def _best(self, digest: str) -> Path:
        """Return the file to read from: a checkpoint's, if there is one."""
        return self._by_worth(digest)[0]

    def _by_worth(self, digest: str) -> list[Path]:
        return sorted(self._paths[digest], key=lambda path: path.parent == self._folder)

    def _is_kept(self, digest: str) -> bool:
        """Return whether it is an artifact, and not only a part of a document."""
        return any(
            not self._files[path][1][digest].is_inline
            for path in self._paths.get(digest, ())
        )

    def _stored(self, digest: str) -> Stored:
        put = datetime.fromtimestamp(self._latest_put(digest) / 1000, UTC)
        return Stored(size=self.size(digest), put=put)

    def _latest_put(self, digest: str) -> int:
        """Return when an artifact was last put, in milliseconds since 1970."""
        return max(self._put_ms(path, digest) for path in self._paths[digest])

    def _put_ms(self, path: Path, digest: str) -> int:
        written = self._files[path][0][1] // 1_000_000
        told = self._puts(path) if path.parent == self._folder else {}
        return max(written, told.get(digest, 0))

    def _puts(self, path: Path) -> dict[str, int]:
        try:
            told = json.loads(_beside(path).read_bytes())["put"]
            return {name: int(value) for name, value in told.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def _shrink(self, path: Path, kept: Sequence[Held]) -> None:
        """Replace a pack by one with what is kept; the lock is held for writing."""
        self._copy(path, kept)
        path.unlink()
        _beside(path).unlink(missing_ok=True)
        sync_folder(self._folder)

    def _is_readable(self, path: Path, held: Held) -> bool:
        try:
            self.view(path, held)
        except CorruptError:
            return False
        return True

    def _copy(self, path: Path, kept: Sequence[Held]) -> None:
        """Write what is kept of a pack as a new one."""
        left = [held for held in kept if not held.is_inline]
        if left:
            puts = {held.digest: self._latest_put(held.digest) for held in left}
            content = {held.digest: self.view(path, held) for held in left}
            new = self.write(content)
            write_whole(_beside(new), json.dumps({"put": puts}).encode())
            os.utime(new, (0, 0))  # From now on the JSON tells.

    def view(self, path: Path, held: Held) -> memoryview:
        """Return an artifact from one file, verified.

        Raises:
            CorruptError: If its bytes are not what they were.
        """
        packs = Packs(path.parent, self._maps)
        place = Place(pack=path.name, offset=held.offset, size=held.size)
        return packs.read(held.digest, place)


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _milliseconds() -> int:
    return int(now().timestamp() * 1000)
