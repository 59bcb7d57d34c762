"""The folder of a database: its format, its lock, and what follows from both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from ptutils.db.files.batch import (
    ASIDE,
    JOURNAL,
    replay,
    write_whole,
)
from ptutils.db.files.form import Wanted
from ptutils.db.files.holding import Holding
from ptutils.db.files.lock import Lock
from ptutils.db.files.shelf import Change, Found, Shelf
from ptutils.db.mapping import unreadable
from ptutils.errors import (
    CorruptError,
    DatabaseError,
    FormatError,
    NotFoundError,
    PtutilsError,
)
from ptutils.meta.codec import Buffer
from ptutils.meta.formats.atomic import sync_folder
from ptutils.meta.yaml import read_yaml

__all__ = ["FORMAT", "MARK", "Folder"]

FORMAT: Final = 2
"""The version of the files; a newer one is refused."""

MARK: Final = "ptutils.yaml"
_OWN: Final = frozenset({".lock", ASIDE, JOURNAL})


class Folder:
    """A folder, locked while it is read or written.

    Args:
        root: Made when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = Lock(root / ".lock")
        self.holding = Holding(root, self.lock)
        self._shelf = Shelf(root, self.holding)
        self._has_checked = False

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the lock for reading; see no transaction half done."""
        if not self.root.exists():
            self._check_parent()
            yield  # There is nothing, and nobody to wait for.
            return
        while True:
            with self.lock.held(is_exclusive=False) as is_outermost:
                if not is_outermost or not (self.root / JOURNAL).exists():
                    if not self._has_checked:
                        self._check()
                    with self._readable():
                        yield
                    return
            with self.writing():
                pass  # It finishes what a killed process began.

    @contextlib.contextmanager
    def writing(self) -> Iterator[bool]:
        """Hold the lock for writing; yield whether this is the outermost block."""
        self._make()
        with self.lock.held(is_exclusive=True) as is_outermost:
            if is_outermost:
                self._prepare()
            with self._readable():
                yield is_outermost

    def find(self, collection: str, only: Wanted) -> Iterator[Found]:
        """Yield the documents of a collection, as far as they may be wanted."""
        return self._shelf.find(collection, only, self.lock.count)

    def collections(self) -> set[str]:
        """Return the names of all collections that may hold a document."""
        return set(self._shelf.collections())

    def commit(self, changes: Iterable[Change]) -> None:
        """Write what a transaction changed; the lock is held for writing."""
        changes = list(changes)
        if changes:
            with self.translated():
                self._shelf.commit(changes, self.lock.count, self.lock.tell)

    def write_pack(self, artifacts: Mapping[str, Buffer]) -> None:
        """Write new artifacts, durably; others may read and write meanwhile."""
        self.holding.write(artifacts)
        with self.writing():
            self.lock.tell()

    @property
    def shelf(self) -> Shelf:
        """The documents."""
        return self._shelf

    def close(self) -> None:
        """Let go of mapped files."""
        self.holding.close()

    def _check_parent(self) -> None:
        if not self.root.parent.is_dir():
            raise NotFoundError(
                "cannot create a database",
                path=str(self.root),
                expected=f"a folder {str(self.root.parent)!r}",
                got="no such folder",
                fix=f"mkdir -p {self.root.parent}",
            )

    def _make(self) -> None:
        if not self.root.exists():
            self._check_parent()
            with self.translated():
                self.root.mkdir(mode=0o700, exist_ok=True)
                sync_folder(self.root.parent)
        elif not self.root.is_dir():
            raise self._refusal("a folder", "a file")

    def _prepare(self) -> None:
        """Finish what a killed process began; see that the folder is ours."""
        with self.translated():
            mark = self.root / MARK
            others = {path.name for path in self.root.iterdir()} - _OWN
            if not mark.exists() and not others:
                write_whole(mark, f"format: {FORMAT}\n".encode())
            if not self._has_checked:
                self._check()
            replay(self.root)
            for name in (self.root / ASIDE).glob("*"):
                name.unlink()

    def _check(self) -> None:
        """See that the folder is a database of a format that can be read."""
        mark = self.root / MARK
        if not mark.exists():
            if any(path.name not in _OWN for path in self.root.iterdir()):
                raise self._refusal(f"a folder with {MARK}, or an empty one", "neither")
            return
        try:
            told = read_yaml(mark.read_text("utf-8"), str(mark))
        except (FormatError, UnicodeDecodeError) as error:
            raise CorruptError(
                f"cannot read {mark}",
                expected=f"format: {FORMAT}",
                got=getattr(error, "got", str(error)),
            ) from error
        version = told.get("format") if isinstance(told, dict) else None
        if type(version) is not int or version > FORMAT:
            raise DatabaseError(
                "cannot use this database",
                path=str(self.root),
                expected=f"format {FORMAT} or older",
                got=f"format {version}",
                fix="pip install -U ptutils",
            )
        self._has_checked = True

    def _refusal(self, expected: str, got: str) -> DatabaseError:
        return DatabaseError(
            "cannot use this database",
            path=str(self.root),
            expected=expected,
            got=got,
            fix="choose another name; what is there was left as it is",
        )

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn what the system says of files that are read into an error of ours."""
        try:
            yield
        except OSError as error:
            if isinstance(error, PtutilsError) or error.filename is None:
                raise
            raise unreadable(Path(error.filename), error) from error

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the system says into an error of ours."""
        try:
            yield
        except OSError as error:
            if isinstance(error, DatabaseError):
                raise
            raise DatabaseError(
                "cannot write to this database",
                path=str(self.root),
                expected="room, and the right to write",
                got=f"{error.strerror or error}: {error.filename or ''}".rstrip(": "),
                fix="free space or check permissions; nothing was half written",
            ) from error
