"""Shelf: the documents of a folder, read once and kept until their file changes."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ptutils.db.files.batch import Batch
from ptutils.db.files.checkpoints import CheckpointForm
from ptutils.db.files.chunks import ChunkForm
from ptutils.db.files.form import DocumentForm, Form, RunForm, Wanted
from ptutils.db.files.holding import Holding
from ptutils.db.files.names import names_in, text_of
from ptutils.db.files.rows import Row
from ptutils.db.mapping import unreadable
from ptutils.errors import CorruptError
from ptutils.meta.values import Document

__all__ = ["Change", "Found", "Shelf"]

_SETTLED_NS: Final = 100_000_000
"""Clocks of file systems tick; a younger file may change and still look the same."""


@dataclass(frozen=True)
class Found:
    """A document that was found, and where; without a path it is not in a file yet."""

    row: Row
    form: Form | None = None
    path: Path | None = None

    def whole(self) -> Document:
        """Return the document with its bulk."""
        if self.form is None or self.path is None:
            return self.row.document
        return self.form.whole(self.row, self.path)


@dataclass(frozen=True)
class Change:
    """What a transaction makes of a document.

    Attributes:
        collection: Where it is.
        before: What is in a file, if anything is.
        after: What it becomes; None deletes it.
    """

    collection: str
    before: Found | None
    after: Row | None


@dataclass(frozen=True)
class _Kept:
    stamp: tuple[int, int, int]
    is_settled: bool
    count: int
    rows: list[Row]


@dataclass(frozen=True)
class _File:
    form: Form
    before: list[Row]
    after: list[Row]


class Shelf:
    """The files of a folder as documents; its lock must be held.

    Args:
        root: The folder of the database.
        holding: Its artifacts.
    """

    def __init__(self, root: Path, holding: Holding) -> None:
        self._root = root
        self._special: dict[str, Form] = {
            "runs": RunForm(root),
            "history": ChunkForm(root),
            "checkpoints": CheckpointForm(root, holding),
        }
        self._kept: dict[Path, _Kept] = {}

    def forms(self, collection: str) -> list[Form]:
        """Return how the documents of a collection may lie, the best one first."""
        special = self._special.get(collection)
        general = DocumentForm(self._root, collection)
        return [special, general] if special else [general]

    def collections(self) -> list[str]:
        """Return the names of all collections that may hold a document."""
        names = {text_of(name) for name in names_in(self._root / "documents")}
        return sorted(names | self._special.keys())

    def find(self, collection: str, only: Wanted, count: int) -> Iterator[Found]:
        """Yield the documents of a collection, as far as they may be wanted.

        Args:
            collection: Which.
            only: What is wanted.
            count: Of the transactions until now.

        Raises:
            CorruptError: If a file cannot be read; the message names file and line.
        """
        for form in self.forms(collection):
            for path in form.paths(only):
                for row in self.read(form, path, count):
                    yield Found(row, form, path)

    def read(self, form: Form, path: Path, count: int) -> list[Row]:
        """Return the documents of a file; none if there is no such file."""
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._kept.pop(path, None)
            return []
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        kept = self._kept.get(path)
        if kept and kept.stamp == stamp and (kept.is_settled or kept.count == count):
            return kept.rows
        if not stat.S_ISREG(found.st_mode):
            raise CorruptError(f"cannot read {path}", expected="a file", got="none")
        is_settled = time.time_ns() - found.st_mtime_ns > _SETTLED_NS
        rows = form.read(path, _content(path), found.st_mtime_ns // 1000)
        self._kept[path] = _Kept(stamp, is_settled, count, rows)
        return rows

    def commit(
        self, changes: Iterable[Change], count: int, tell: Callable[[], int]
    ) -> None:
        """Write what a transaction changed, all of it or nothing.

        Args:
            changes: One for each document.
            count: Of the transactions until now.
            tell: Counts this one, for all to see, and returns the count.

        Raises:
            OSError: If there is no room, say.
        """
        files: dict[Path, _File] = {}
        for change in changes:
            self._note(files, change, count)
        batch = Batch(self._root)
        try:
            for path, file in files.items():
                file.form.write(batch, path, file.before, file.after)
            batch.commit()
        finally:
            batch.discard()
        next_count = tell()
        for path, file in files.items():
            self._keep(path, [file.form.kept(row) for row in file.after], next_count)

    def _note(self, files: dict[Path, _File], change: Change, count: int) -> None:
        """Enter a change into the files that it concerns."""
        before, after = change.before, change.after
        form = path = None
        if after is not None:
            form, path = self._place(change.collection, after)
        if before is not None and before.form is not None and before.path is not None:
            rows = self._opened(files, before.form, before.path, count).after
            at = [row.identity for row in rows].index(before.row.identity)
            if path == before.path and after is not None:
                rows[at] = after
                return
            del rows[at]
        if form is not None and path is not None and after is not None:
            self._opened(files, form, path, count).after.append(after)

    def _opened(
        self, files: dict[Path, _File], form: Form, path: Path, count: int
    ) -> _File:
        if path not in files:
            before = self.read(form, path, count)
            files[path] = _File(form, list(before), list(before))
        return files[path]

    def _place(self, collection: str, row: Row) -> tuple[Form, Path]:
        special, *_ = self.forms(collection)
        path = special.path_of(row)
        if path is not None:
            return special, path
        general = DocumentForm(self._root, collection)
        return general, general.path_of(row)

    def _keep(self, path: Path, rows: Sequence[Row], count: int) -> None:
        if not rows:
            self._kept.pop(path, None)
            return
        found = path.stat()
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        self._kept[path] = _Kept(stamp, True, count, list(rows))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
