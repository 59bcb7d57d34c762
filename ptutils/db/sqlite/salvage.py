"""Salvage: a new SQLite file from what can still be read of a damaged one.

The damaged file is kept beside it, under another name.
"""

from __future__ import annotations

import contextlib
import mmap
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from ptutils.core.records.document import new_id
from ptutils.core.records.identity import now
from ptutils.core.records.upkeep.garbage import DAMAGED
from ptutils.db.artifacts import Packs
from ptutils.db.filters.order import key
from ptutils.db.sqlite.pages import Pages
from ptutils.db.sqlite.stamping import stamped
from ptutils.db.sqlite.store import Store
from ptutils.db.sqlite.tables import make_table
from ptutils.errors import CorruptError, DatabaseError
from ptutils.meta.codec import dumps
from ptutils.meta.formats.atomic import sync_folder
from ptutils.meta.values import Document, Value

__all__ = ["damaged_text", "salvage"]

_SHAPES = {
    "checkpoints": {"run", "step", "state", "artifacts"},
    "history": {"run", "path", "segment", "steps", "values"},
    "runs": {"config", "status", "segments", "lease"},
}
"""By which fields a document of ours is known whose collection is not."""

_Texts = dict[str, dict[bytes, tuple[int, str, Document]]]
"""Place, text and document, by collection and id."""


def salvage(
    store: Store, packs: Packs, load: Callable[[str], Document]
) -> tuple[str, Path]:
    """Replace a damaged file by what can be read of it.

    Args:
        store: Of the file; nobody else may have it open.
        packs: Beside it; they tell what artifacts there are.
        load: Reads the text of a document.

    Returns:
        What could be read, in words, and where the damaged file is now.

    Raises:
        DatabaseError: If another process has the file open, or there is no room.
        CorruptError: If nothing of ours can be read in it.
    """
    store.check_writable()
    store.close()
    _merge_log(store.path)
    wreck = _Wreck(store.path, load)
    if not wreck.documents:
        raise CorruptError(
            "cannot mend this database",
            path=str(store.path),
            expected="a document of ours anywhere in it",
            got="none",
            fix="restore it from a copy",
        )
    new = Store(store.path.with_name(f".{store.path.name}.{new_id()}"), _keep_as_it_is)
    try:
        with contextlib.closing(new):
            _fill(new, wreck, packs)
        return wreck.story(), _swap(store.path, new.path)
    finally:
        new.path.unlink(missing_ok=True)


def _keep_as_it_is(version: int) -> None:
    """Migrate nothing: the file is new."""


def _merge_log(path: Path) -> None:
    """Take what was written last into the file itself, if that can still be done."""
    uri = f"file:{quote(str(path))}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    with contextlib.closing(connection), contextlib.suppress(sqlite3.DatabaseError):
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise DatabaseError(
                    "cannot mend this database",
                    path=str(path),
                    expected="nobody else who has it open",
                    got="another process, or a connection of this one, that does",
                    fix="stop its runs and whatever reads it, then try again",
                ) from error


def _fill(store: Store, wreck: _Wreck, packs: Packs) -> None:
    moment = int(now().timestamp() * 1000)
    with store.writing() as connection:
        for collection, found in wreck.documents.items():
            table = make_table(connection, collection)
            for identity, (_, text, document) in _in_order(found):
                table.insert(identity, text, document)
        connection.executemany(
            "INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?, ?, ?)",
            [
                (digest, place.pack, place.offset, place.size, moment)
                for digest, place in packs.contents()
            ],
        )


def _swap(path: Path, new: Path) -> Path:
    """Put a new file in the place of another; return where that one is now."""
    kept = path.with_name(f"{path.name}.damaged-{now():%Y%m%d-%H%M%S}")
    try:
        for end in ("-wal", "-shm"):  # They would be taken to be the new file's.
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + end).rename(f"{kept}{end}")
        new.chmod(path.stat().st_mode & 0o777)
        path.rename(kept)
        new.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise DatabaseError(
            "cannot put the mended database in its place",
            path=str(path),
            expected="the right to rename it",
            got=error.strerror or str(error),
            fix=f"the damaged one may be at {kept}",
        ) from error
    return kept


def _in_order(
    found: dict[bytes, tuple[int, str, Document]],
) -> list[tuple[bytes, tuple[int, str, Document]]]:
    return sorted(found.items(), key=lambda item: item[1][0])


class _Wreck:
    """What can be read of a damaged file.

    Attributes:
        documents: By collection and id.
        lost: How many rows were there that could not be read.
    """

    def __init__(self, path: Path, load: Callable[[str], Document]) -> None:
        self.documents: _Texts = {}
        self.lost = 0
        self._load = load
        self._counts: dict[str, int] = {}
        with (
            path.open("rb") as file,
            contextlib.closing(
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            ) as content,
        ):
            self._read(Pages(content))

    def story(self) -> str:
        """Return how much of what there was could be read."""
        parts = [
            f"{len(found)} of {max(len(found), self._counts.get(name, 0))} "
            f"documents in {name!r}"
            for name, found in sorted(self.documents.items())
        ]
        gone = sorted(self._counts.keys() - self.documents.keys())
        parts += [f"0 of {self._counts[name]} in {name!r}" for name in gone]
        return "; ".join(parts)

    def _read(self, pages: Pages) -> None:
        roots = {
            values[1]: values[3]
            for _, values in _rows(pages, pages.leaves_below(1))
            if len(values) == 5 and values[0] == "table"
        }
        seen: set[int] = set()
        for number, values in _rows(pages, _below(pages, roots, "collections")):
            if [type(each) for each in values[1:]] == [str, int]:
                leaves = _below(pages, roots, f"documents_{number}")
                seen.update(leaves)
                self._counts[values[1]] = values[2]
                self._take(pages, leaves, values[1])
        # Pages that a damaged one above them does not lead to any more.
        self._take(pages, sorted(pages.leaves() - seen), None)

    def _take(self, pages: Pages, leaves: list[int], collection: str | None) -> None:
        for leaf in leaves:
            for row in pages.rows(leaf):
                if row is None:
                    self.lost += collection is not None
                elif [type(each) for each in row[1][1:]] == [bytes, str]:
                    self._add(collection, row[0], *row[1][1:])

    def _add(
        self, collection: str | None, place: int, identity: bytes, text: str
    ) -> None:
        try:
            document = self._load(text)
        except CorruptError:
            if collection is not None:
                self._keep(collection, place, text)
            return
        name = collection or _guess(document)
        if "_id" in document and key(document["_id"]) == identity:
            found = self.documents.setdefault(name, {})
            found.setdefault(identity, (place, text, document))

    def _keep(self, collection: str, place: int, text: str) -> None:
        """Keep a text that is no document any more for a person to look at."""
        self.lost += 1
        document = damaged_text(collection, text)
        found = self.documents.setdefault(DAMAGED, {})
        found[key(document["_id"])] = (place, stamped(dumps(document)), document)


def damaged_text(collection: str, text: str) -> Document:
    """Return the document that keeps a text which is none any more."""
    what = "its text is not what was stored"
    return {"_id": new_id(), "collection": collection, "text": text, "damage": what}


def _guess(document: Document) -> str:
    for name, fields in _SHAPES.items():
        if fields <= document.keys():
            return name
    return "documents"


def _below(pages: Pages, roots: dict[Value, Value], table: str) -> list[int]:
    root = roots.get(table)
    return pages.leaves_below(root) if isinstance(root, int) else []


def _rows(pages: Pages, leaves: list[int]) -> Iterator[tuple[int, list[Value]]]:
    for leaf in leaves:
        yield from (row for row in pages.rows(leaf) if row is not None)
