"""What is wrong in a folder of files, and what of it can be mended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ptutils.core.hooks import Fault
from ptutils.core.records.upkeep.garbage import DAMAGED
from ptutils.db.artifacts import DAMAGED_FILES, put_aside
from ptutils.db.files.batch import ASIDE
from ptutils.db.files.checkpoints import CheckpointForm, tensors_beside
from ptutils.db.files.chunks import ChunkForm, sound_end
from ptutils.db.files.form import Form
from ptutils.db.files.headers import Held, entries_in
from ptutils.db.files.mending import mend
from ptutils.db.files.names import names_in
from ptutils.db.files.rows import Row
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
        is_repairing: Remove what killed processes left, cut off lines half written,
            put checkpoints aside that cannot be loaded.
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
        # Repaired, what is put aside comes after the checkpoints.
        for collection in sorted({*shelf.collections(), DAMAGED}):
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
            what, affects = _told(error), f"its documents in {collection!r}"
            if isinstance(form, CheckpointForm):
                yield from self._mended(form, path, None, {path: [what]}, affects)
            else:
                yield self._lasting(path, what, affects)
            return
        if isinstance(form, CheckpointForm):
            for row in rows:
                affects = f"checkpoint {row.document['_id']}"
                wrong = {tensors_beside(path): list(self._wrong(form, path))}
                yield from self._mended(form, path, row, wrong, affects)

    def _mended(
        self,
        form: CheckpointForm,
        path: Path,
        row: Row | None,
        what: dict[Path, list[str]],
        affects: str,
    ) -> Iterator[Fault]:
        """Yield what is wrong with a checkpoint, once it is put aside."""
        told = [(where, each) for where, some in what.items() for each in some]
        kept = ""
        if told and self._is_repairing:
            kept = f"; {mend(self._folder, form, path, row, told[0][1])}"
        for where, each in told:
            yield self.fault(where, each + kept, affects)

    def _wrong(self, form: CheckpointForm, path: Path) -> Iterator[str]:
        tensors = tensors_beside(path)
        try:
            inside = entries_in(tensors)
        except CorruptError as error:
            yield _told(error) if tensors.exists() else "is missing"
            return
        digests = {held.digest for held in inside}
        for told in form.told(path):
            if told["blake3"] not in digests:
                yield f"lacks {told['tensor']!r}"
        for held in inside:
            yield from self._wrong_in(tensors, held)

    def _packs(self, known: set[Path]) -> Iterator[Fault]:
        holding = self._folder.holding
        folder = self._root / "artifacts"
        for name in names_in(folder):
            path = folder / name
            if path.suffix != ".safetensors":
                continue
            known |= {path, path.with_suffix(".json")}
            try:
                inside = entries_in(path)
            except CorruptError as error:
                yield self._pack_fault(path, _told(error), "the artifacts in it")
                continue
            found = [
                self.fault(path, what, "nothing: it is elsewhere, too")
                for held in inside
                for what in self._wrong_in(path, held)
                # What can be read nowhere is told with all that need it.
                if holding.has_copy(held.digest)
            ]
            if found and self._is_repairing:
                holding.put_aside([held.digest for held in inside])
                self._folder.lock.tell()
            yield from found

    def _pack_fault(self, path: Path, what: str, affects: str) -> Fault:
        if self._is_repairing:
            kept = put_aside(path, self._root / DAMAGED_FILES)
            path.with_suffix(".json").unlink(missing_ok=True)
            self._folder.lock.tell()
            what += f"; kept as {DAMAGED_FILES}/{kept.name}"
        return self.fault(path, what, affects)

    def _wrong_in(self, path: Path, held: Held) -> Iterator[str]:
        try:
            self._folder.holding.view(path, held)
        except CorruptError as error:
            yield f"artifact {held.digest} holds other bytes: {error.got}"

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
            if inside.parts[0] in (ASIDE, DAMAGED_FILES):
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
