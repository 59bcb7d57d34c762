"""The embedded database: one SQLite file, and a folder of artifact packs beside it."""

from __future__ import annotations

import builtins
import contextlib
import json
import sqlite3
import weakref
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path

from ptutils.core.dbinterface import DBInterface
from ptutils.core.hooks import Fault, Stored, View
from ptutils.core.records.identity import now
from ptutils.db.artifacts import Packs, Place, absent
from ptutils.db.compression import Compression, check_compression
from ptutils.db.filters.match import compile_filter
from ptutils.db.filters.paths import field_path
from ptutils.db.filters.project import Projection, compile_projection
from ptutils.db.filters.sort import Sort, check_sort, ordered
from ptutils.db.filters.update import compile_update
from ptutils.db.hashing import hashed
from ptutils.db.migrations import migrate
from ptutils.db.sqlite.cleaning import Cleaning
from ptutils.db.sqlite.indexes import bounds
from ptutils.db.sqlite.indexing import build_index, missing_indexes
from ptutils.db.sqlite.inspection import inspect, readable
from ptutils.db.sqlite.plan import in_natural_order, in_sort_order
from ptutils.db.sqlite.stamping import is_whole, stamped
from ptutils.db.sqlite.store import Store, damaged
from ptutils.db.sqlite.tables import Table, make_table, open_table
from ptutils.db.writing import check_window, duplicate, identify, upserted
from ptutils.errors import CorruptError, DatabaseError, DecodeError
from ptutils.meta.codec import Buffer, dumps, loads
from ptutils.meta.values import Document

__all__ = ["SQLiteInterface"]


class SQLiteInterface(DBInterface):
    """A database in one file, such as ``runs.db``, with ``runs.db.artifacts`` beside.

    It is made on first use. What was saved survives a crash of the process and of the
    machine; any number of threads and processes may use it at once.

    Args:
        path: Of the file; its folder must exist.
        compression: ``"zstd"`` to compress new packs; all packs are read either way.

    Raises:
        ConfigError: If there is no such compression.
    """

    def __init__(self, path: str, *, compression: Compression = None) -> None:
        check_compression(compression)
        self._store = Store(Path(path).absolute(), _migration(self))
        folder = Path(f"{self._store.path}.artifacts")
        self._packs = Packs(folder, compression=compression)
        self._url = f"sqlite:{path}" if ":" in str(path) else str(path)

    @property
    def url(self) -> str:
        """The path of the file, as it was given."""
        return self._url

    def create_index(self, collection: str, path: str) -> None:
        """Speed up filters and sorts by a path; ``a.*`` indexes all leaves below ``a``.

        Documents that are there already are indexed at once.
        """
        with self._store.writing() as connection:
            table = make_table(connection, collection)
            if path not in table.patterns:
                field_path(path.removesuffix(".*"), "an index")
                build_index(table, path, self._load)

    def _insert(self, collection: str, documents: Sequence[Document]) -> None:
        with self._store.writing() as connection:
            table = make_table(connection, collection)
            for document in documents:
                identity, named = identify(document)
                if not table.insert(identity, stamped(dumps(named)), named):
                    raise duplicate(named["_id"], collection, self.url)

    def _find(
        self,
        collection: str,
        filter: Document,
        *,
        sort: Sort = (),
        limit: int = 0,
        skip: int = 0,
        projection: Projection = None,
    ) -> list[Document]:
        check_window(limit, skip)
        check_sort(sort)
        project = compile_projection(projection)
        count = skip + limit if limit else 0
        self._index_for(collection, filter, sort if count else ())
        with self._store.reading() as connection:
            table = open_table(connection, collection)
            with closing(self._in_order(table, filter, sort, count)) as found:
                window = islice(found, skip, count or None)
                return [project(document) for document in window]

    def _count(self, collection: str, filter: Document) -> int:
        self._index_for(collection, filter)
        with self._store.reading() as connection:
            table = open_table(connection, collection)
            if table and not filter:
                return table.count()
            return sum(1 for _ in self._matching(table, filter))

    def _update(
        self,
        collection: str,
        filter: Document,
        update: Document,
        *,
        many: bool = False,
        upsert: bool = False,
    ) -> int:
        apply = compile_update(update)
        with self._store.writing() as connection:
            table = make_table(connection, collection)
            with closing(self._matching(table, filter)) as matching:
                found = list(islice(matching, None if many else 1))
            if not found and upsert:
                self._insert(collection, [upserted(filter, apply)])
                return 1
            for place, document in found:
                before = table.keys_of(document)
                changed = apply(document)
                table.replace(place, stamped(dumps(changed)), before, changed)
            return len(found)

    def _delete(self, collection: str, filter: Document) -> int:
        with self._store.writing() as connection:
            table = make_table(connection, collection)
            found = [place for place, _ in self._matching(table, filter)]
            for place in found:
                table.delete(place)
            return len(found)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._store.writing():
            yield

    def _collections(self) -> list[str]:
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT name FROM collections WHERE count > 0 ORDER BY name"
            )
            return [name for (name,) in rows]

    def _put(self, artifacts: Sequence[Buffer]) -> list[str]:
        digests: list[str] = []
        written = self._packs.write_hashed(self._unknown(artifacts, digests), artifacts)
        missing = dict(zip(digests, artifacts, strict=True))
        while missing:
            with self._store.writing() as connection:
                _add_places(connection, written, self._packs)
                _note_put(connection, missing)
                for digest in list(missing):
                    place = _place(connection, digest)
                    if place is not None and self._packs.holds(place):
                        del missing[digest]
            # A cleaning may have taken it for a stray: then it is written once more.
            written = self._packs.write(missing) if missing else {}
        return digests

    def _unknown(
        self, artifacts: Sequence[Buffer], digests: list[str]
    ) -> Iterator[dict[str, Buffer]]:
        """Yield the artifacts that are not here yet; note the digests of all."""
        seen: set[str] = set()
        for batch in hashed(artifacts):
            start = len(digests)
            digests += batch
            with self._store.reading() as connection:
                here = _places(connection, batch)
            found = zip(batch, artifacts[start:], strict=False)
            yield {
                digest: artifact
                for digest, artifact in found
                if not (
                    digest in seen
                    or (digest in here and self._packs.holds(here[digest]))
                )
            }
            seen.update(batch)

    def _get(self, digest: str) -> memoryview:
        place = self._place(digest)
        try:
            return self._packs.read(digest, place)
        except CorruptError:
            moved = self._place(digest)
            if moved == place:
                raise
            return self._packs.read(digest, moved)

    def _private(self, digests: Collection[str]) -> View:
        with self._store.reading() as connection:
            return self._packs.private(_places(connection, digests)).view

    def _place(self, digest: str) -> Place:
        with self._store.reading() as connection:
            place = _place(connection, digest)
        if place is None:
            raise absent(digest, self.url)
        return place

    def _stored(self, digests: Iterable[str] | None = None) -> dict[str, Stored]:
        with self._store.reading() as connection:
            if digests is None:
                rows = connection.execute("SELECT digest, size, put FROM artifacts")
            else:
                rows = connection.execute(
                    """SELECT digest, size, put FROM artifacts
                       WHERE digest IN (SELECT value FROM json_each(?))""",
                    (json.dumps(list(digests)),),
                )
            return {
                digest: Stored(size=size, put=datetime.fromtimestamp(put / 1000, UTC))
                for digest, size, put in rows
            }

    def _drop(self, digests: Iterable[str], before: datetime) -> int:
        return Cleaning(self._store, self._packs, before).run(digests)

    def _put_aside(self, digests: Iterable[str]) -> list[str]:
        cleaning = Cleaning(self._store, self._packs, now())
        return [str(path) for path in cleaning.put_aside(digests)]

    def _readable(self, collection: str) -> Iterator[Document]:
        return readable(self._store, collection, self._load)

    def _inspect(self, *, repair: bool = False) -> Iterator[Fault]:
        self._packs.close()
        return inspect(self._store, self._packs, self._load, repair=repair)

    def _close(self) -> None:
        self._packs.close()
        self._store.close()

    def _index_for(self, collection: str, filter: Document, sort: Sort = ()) -> None:
        """Make the indexes that a query is slow without, if that can be done now."""
        compile_filter(filter)  # Only a valid filter has bounds.
        if self._store.is_in_use or not (sort or bounds(filter).keys() - {"_id"}):
            return
        with self._store.reading() as connection:
            table = open_table(connection, collection)
            missing = missing_indexes(table, bounds(filter), sort) if table else []
        # Nothing is lost without: the query is answered all the same.
        with contextlib.suppress(DatabaseError):
            for path in missing:
                with self._store.writing(waits=False) as connection:
                    table = make_table(connection, collection)
                    if path not in table.patterns:
                        build_index(table, path, self._load)

    def _matching(
        self, table: Table | None, filter: Document
    ) -> Generator[tuple[int, Document], None, None]:
        """Yield the place and the document of all matches, in order of insertion."""
        matches = compile_filter(filter)
        if table is None:
            return
        for place, text, part in in_natural_order(table, bounds(filter), filter):
            if part is not None and not matches(part):
                self._check(text)
                continue
            document = self._load(text)
            if matches(document):
                yield place, document

    def _in_order(
        self, table: Table | None, filter: Document, sort: Sort, count: int
    ) -> Generator[Document, None, None]:
        """Yield all matches in order, or as many as are needed."""
        matches = compile_filter(filter)
        rows = None
        if table is not None and sort and count:
            rows = in_sort_order(table, bounds(filter), sort, count)
        if rows is None:
            found = (each for _, each in self._matching(table, filter))
            yield from ordered(found, sort, count)
            return
        for _, group in groupby(rows, key=itemgetter(0)):
            equal = builtins.filter(matches, (self._load(text) for _, _, text in group))
            yield from ordered(equal, sort if len(sort) > 1 else (), count)

    def _load(self, text: str) -> Document:
        self._check(text)
        try:
            # Escapes begin with '$'; without any, the parser in C does it all.
            document: Document = loads(text) if '{"$' in text else json.loads(text)
        except (ValueError, RecursionError, DecodeError) as error:
            raise damaged("a document", self._store.path, str(error)) from error
        return document

    def _check(self, text: str) -> None:
        if not is_whole(text):
            raise damaged(
                "a document", self._store.path, "a text that was changed since"
            )


def _migration(db: SQLiteInterface) -> Callable[[int], None]:
    # A strong reference back would keep the file open longer than anybody uses it.
    reference = weakref.ref(db)

    def run(version: int) -> None:
        interface = reference()
        if interface is not None:
            migrate(interface, version)

    return run


def _place(connection: sqlite3.Connection, digest: str) -> Place | None:
    row = connection.execute(
        "SELECT pack, offset, size FROM artifacts WHERE digest = ?", (digest,)
    ).fetchone()
    return Place(pack=row[0], offset=row[1], size=row[2]) if row else None


def _places(
    connection: sqlite3.Connection, digests: Collection[str]
) -> dict[str, Place]:
    rows = connection.execute(
        """SELECT digest, pack, offset, size FROM artifacts
           WHERE digest IN (SELECT value FROM json_each(?))""",
        (json.dumps(list(digests)),),
    )
    return {
        digest: Place(pack=pack, offset=offset, size=size)
        for digest, pack, offset, size in rows
    }


def _add_places(
    connection: sqlite3.Connection, places: Mapping[str, Place], packs: Packs
) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?, ?, ?)",
        [
            (digest, at.pack, at.offset, at.size, _moment())
            for digest, at in places.items()
            if packs.holds(at)
        ],
    )


def _note_put(connection: sqlite3.Connection, digests: Iterable[str]) -> None:
    connection.executemany(
        "UPDATE artifacts SET put = ? WHERE digest = ?",
        [(_moment(), digest) for digest in digests],
    )


def _moment() -> int:
    """Return the time in milliseconds since 1970."""
    return int(now().timestamp() * 1000)
