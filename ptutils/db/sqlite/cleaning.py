"""Room taken back: forgotten artifacts, packs that are mostly dead, and stray files.

A pack is unlinked within a transaction for writing that sees no row name it. Whoever
has just written it, and has not yet said so, looks for it within such a transaction of
its own, and writes it again. Whoever looked an artifact up before it moved looks again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from ptutils.db.artifacts import DAMAGED_FILES, Packs, Place, put_aside
from ptutils.db.sqlite.store import Store
from ptutils.errors import CorruptError
from ptutils.meta.codec import Buffer

__all__ = ["Cleaning"]


class Cleaning:
    """One cleaning of the artifacts beside a SQLite file.

    Args:
        store: Whose table ``artifacts`` says what there is.
        packs: Where the bytes are.
        before: What was put or written since is left alone.
    """

    def __init__(self, store: Store, packs: Packs, before: datetime) -> None:
        self._store = store
        self._packs = packs
        self._before = before

    def run(self, digests: Iterable[str]) -> int:
        """Forget these artifacts; return how many bytes the folder is smaller."""
        touched = self._forget(digests)
        grown = sum(map(self._compact, self._mostly_dead()))
        return self._sweep(touched) - grown

    def put_aside(self, digests: Iterable[str]) -> list[Path]:
        """Forget those that cannot be read; move their packs aside, and return where.

        The others of these packs go to new ones first.
        """
        with self._store.reading() as connection:
            rows = connection.execute(
                """SELECT DISTINCT pack FROM artifacts WHERE digest IN
                   (SELECT value FROM json_each(?))""",
                (json.dumps(list(digests)),),
            ).fetchall()
        moved = [self._put_pack_aside(pack) for (pack,) in rows]
        return [path for path in moved if path is not None]

    def _put_pack_aside(self, pack: str) -> Path | None:
        self._move_out(pack, self._readable(pack))
        with self._store.writing() as connection:
            if self._readable(pack):
                return None  # Its bytes have come again meanwhile.
            path, moved = self._packs.folder / pack, None
            if self._packs.size_of(pack) >= 0:
                moved = put_aside(path, self._packs.folder / DAMAGED_FILES)
            # If this is not committed, they are missing, as they were damaged before.
            connection.execute("DELETE FROM artifacts WHERE pack = ?", (pack,))
            return moved

    def _readable(self, pack: str) -> dict[str, memoryview]:
        """Return the artifacts in a pack that are not damaged."""
        found = {}
        for digest, place in self._places(pack).items():
            with contextlib.suppress(CorruptError):
                found[digest] = self._packs.read(digest, place)
        return found

    def _places(self, pack: str) -> dict[str, Place]:
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT digest, offset, size FROM artifacts WHERE pack = ?", (pack,)
            ).fetchall()
        return {
            digest: Place(pack=pack, offset=offset, size=size)
            for digest, offset, size in rows
        }

    def _forget(self, digests: Iterable[str]) -> set[str]:
        """Delete the rows; return the packs that they named."""
        with self._store.writing() as connection:
            rows = connection.execute(
                """DELETE FROM artifacts WHERE put < ? AND digest IN
                   (SELECT value FROM json_each(?)) RETURNING pack""",
                (self._before.timestamp() * 1000, json.dumps(list(digests))),
            )
            return {pack for (pack,) in rows.fetchall()}

    def _mostly_dead(self) -> list[str]:
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT pack, SUM(size) FROM artifacts GROUP BY pack"
            ).fetchall()
        return [pack for pack, size in rows if self._is_mostly_dead(pack, size)]

    def _is_mostly_dead(self, pack: str, size: int) -> bool:
        """Return whether less than half of a pack is needed.

        Args:
            pack: The name of its file.
            size: Of all artifacts that are needed, as they are.
        """
        frames = self._packs.frames_in(pack)
        if not frames:
            return 2 * size < self._packs.size_of(pack)
        living = {place.offset for place in self._places(pack).values()}
        living_bytes = sum(frames.get(offset, 0) for offset in living)
        return 2 * living_bytes < sum(frames.values())

    def _compact(self, pack: str) -> int:
        """Move what lives in a pack to a new one; return the size of that."""
        living = self._readable(pack)
        if len(living) < len(self._places(pack)):
            return 0  # It is left as it is, for whoever can mend it.
        return self._move_out(pack, living)

    def _move_out(self, pack: str, living: Mapping[str, Buffer]) -> int:
        """Write artifacts of a pack to a new one; return the size of that."""
        moved = self._packs.write(living) if living else {}
        with self._store.writing() as connection:
            connection.executemany(
                """UPDATE artifacts SET pack = ?, offset = ?
                   WHERE digest = ? AND pack = ?""",
                [
                    (place.pack, place.offset, digest, pack)
                    for digest, place in moved.items()
                    if self._packs.holds(place)
                ],
            )
        return sum(map(self._packs.size_of, {place.pack for place in moved.values()}))

    def _sweep(self, touched: Collection[str]) -> int:
        """Unlink packs that no row names and what dead writers left; return the size.

        Args:
            touched: Packs that a row named until now, which are not too young.
        """
        with self._store.writing() as connection:
            rows = connection.execute("SELECT DISTINCT pack FROM artifacts")
            named = {pack for (pack,) in rows}
            return sum(
                _unlink(path)
                for path in self._packs.files()
                if path.name not in named
                and (path.name in touched or self._is_abandoned(path))
            )

    def _is_abandoned(self, path: Path) -> bool:
        try:
            is_old = path.stat().st_mtime < self._before.timestamp()
            return is_old and not self._packs.is_being_written(path)
        except FileNotFoundError:  # Its writer has just finished it.
            return False


def _unlink(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        size = path.stat().st_size
        path.unlink()
        return size
    return 0
