"""What is wrong in a folder of files, and what of it can be mended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ptutils.core.hooks import Fault
from ptutils.db.files.batch import ASIDE
from ptutils.db.files.checkpoints import CheckpointForm, tensors_beside
from ptutils.db.files.chunks import ChunkForm, sound_end
from ptutils.db.files.form import Form
from ptutils.db.files.holding import entries_in
from ptutils.errors import CorruptError, DatabaseError

if TYPE_CHECKING:
    from ptutils.db.files.folder import Folder

__all__ = ["inspect"]

_FORGOTTEN_S: Final = 3600.0
"""A pack that is written aside belongs to somebody for less than that."""


def inspect(folder: Folder, *, is_repairing: bool) -> list[Fault]:
    """Return what is wrong in a folder.

    Args:
        folder: Which.
        is_repairing: Remove what killed processes left, cut off lines half written.
    """
    if not folder.root.exists():
        return []
    with folder.reading():
        forgotten = [Inspection(folder).fault(path, _LEFT) for path in _aside(folder)]
    if not is_repairing:
        with folder.reading():
            return [*forgotten, *Inspection(folder).faults()]
    with folder.writing():  # It removes what was written aside, too.
        mended = Inspection(folder, is_repairing=True)
        repaired = [
            mended.fault(Path(folder.root, each.where), _LEFT) for each in forgotten
        ]
        return [*repaired, *mended.faults()]


_LEFT: Final = "left by a process that was killed while it wrote"


class Inspection:
    """One look at all files; the lock must be held.

    Args:
        folder: Which.
        is_repairing: Whether what can be mended is mended.
    """

    def __init__(self, folder: Folder, *, is_repairing: bool = False) -> None:
        self._folder = folder
        self._root = folder.root
        self._is_repairing = is_repairing

    def fault(self, path: Path, what: str, affects: str = "") -> Fault:
        """Return a fault of a file that is mended if anything is."""
        where = path.relative_to(self._root).as_posix()
        return Fault(
            where=where, what=what, affects=affects, is_repaired=self._is_repairing
        )

    def faults(self) -> Iterator[Fault]:
        """Yield everything that is wrong."""
        known: set[Path] = set()
        shelf = self._folder.shelf
        for collection in shelf.collections():
            for form in shelf.forms(collection):
                for path in form.paths({}):
                    known.add(path)
                    if isinstance(form, ChunkForm) and path.exists():
                        yield from self._torn(path)
                    yield from self._document(collection, form, path)
                    if isinstance(form, CheckpointForm):
                        known.add(tensors_beside(path))
        yield from self._packs(known)
        yield from self._strays(known)

    def _document(self, collection: str, form: Form, path: Path) -> Iterator[Fault]:
        shelf = self._folder.shelf
        try:
            rows = shelf.read(form, path, self._folder.lock.count)
        except CorruptError as error:
            yield self._lasting(path, _told(error), f"its documents in {collection!r}")
            return
        if isinstance(form, CheckpointForm):
            for row in rows:
                affects = f"checkpoint {row.document['_id']}"
                yield from self._tensors(form, path, affects)

    def _tensors(
        self, form: CheckpointForm, path: Path, affects: str
    ) -> Iterator[Fault]:
        tensors = tensors_beside(path)
        if not tensors.exists():
            yield self._lasting(tensors, "is missing", affects)
            return
        try:
            inside = {held.digest for held in entries_in(tensors)}
        except CorruptError as error:
            yield self._lasting(tensors, _told(error), affects)
            return
        for told in form.told(path):
            if told["blake3"] not in inside:
                yield self._lasting(tensors, f"lacks {told['tensor']!r}", affects)
        yield from self._contents(tensors, affects)

    def _packs(self, known: set[Path]) -> Iterator[Fault]:
        for path in (self._root / "artifacts").glob("*.safetensors"):
            known |= {path, path.with_suffix(".json")}
            try:
                entries_in(path)
            except CorruptError as error:
                yield self._lasting(path, _told(error), "the artifacts in it")
            else:
                yield from self._contents(path, "the documents that need it")

    def _contents(self, path: Path, affects: str) -> Iterator[Fault]:
        for held in entries_in(path):
            try:
                self._folder.holding.view(path, held)
            except CorruptError as error:
                what = f"artifact {held.digest} holds other bytes: {error.got}"
                yield self._lasting(path, what, affects)

    def _torn(self, path: Path) -> Iterator[Fault]:
        size = path.stat().st_size
        end, lead = sound_end(path)
        if end < size and not lead:
            if self._is_repairing:
                with path.open("r+b") as file:
                    file.truncate(end)
            yield self.fault(path, f"{size - end} bytes half written at its end")

    def _strays(self, known: set[Path]) -> Iterator[Fault]:
        for path in sorted(self._root.rglob("*")):
            inside = path.relative_to(self._root)
            if path.is_dir() or path in known or len(inside.parts) == 1:
                continue
            if inside.parts[0] == ASIDE:
                continue
            if inside.parts[0] == "artifacts" and path.name.startswith("."):
                yield from self._half_pack(path)
            else:
                yield self._lasting(path, "is no file of ptutils")

    def _half_pack(self, path: Path) -> Iterator[Fault]:
        if time.time() - path.stat().st_mtime > _FORGOTTEN_S:
            if self._is_repairing:
                path.unlink()
            yield self.fault(path, _LEFT)

    def _lasting(self, path: Path, what: str, affects: str = "") -> Fault:
        where = path.relative_to(self._root).as_posix()
        return Fault(where=where, what=what, affects=affects)


def _aside(folder: Folder) -> list[Path]:
    return sorted((folder.root / ASIDE).glob("*"))


def _told(error: DatabaseError) -> str:
    return f"{error.what}: {error.got}" if error.got else error.what
