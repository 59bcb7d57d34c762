"""A database in memory, for tests and for what need not last."""

from __future__ import annotations

import contextlib
import copy
import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

from ptutils.core.dbinterface import DBInterface
from ptutils.core.hooks import Stored
from ptutils.core.records.identity import now
from ptutils.db.artifacts import absent, digest_of
from ptutils.db.filters.match import compile_filter
from ptutils.db.filters.project import Projection, compile_projection
from ptutils.db.filters.sort import Sort, ordered
from ptutils.db.filters.update import compile_update
from ptutils.db.writing import check_window, duplicate, identify, upserted
from ptutils.meta.codec import Buffer
from ptutils.meta.values import Document

__all__ = ["MemoryInterface"]

_Row = tuple[int, Document]
"""The place of a document in the order of insertion, and the document."""


class MemoryInterface(DBInterface):
    """A database that lives as long as the object; every one is its own."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._places = itertools.count()
        self._rows: dict[str, dict[bytes, _Row]] = {}
        self._undo: list[tuple[str, bytes, _Row | None]] = []
        self._depth = 0
        self._artifacts: dict[str, tuple[bytes, datetime]] = {}

    @property
    def url(self) -> str:
        """Always ``memory:``, which opens a new one."""
        return "memory:"

    def _insert(self, collection: str, documents: Sequence[Document]) -> None:
        with self._transaction():
            for document in documents:
                identity, named = identify(document)
                if identity in self._rows.get(collection, {}):
                    raise duplicate(named["_id"], collection, self.url)
                row = (next(self._places), copy.deepcopy(named))
                self._write(collection, identity, row)

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
        project = compile_projection(projection)
        with self._lock:
            matching = self._matching(collection, filter)
            found = ordered(
                (document for _, (_, document) in matching),
                sort,
                limit and skip + limit,
            )
            window = list(islice(found, skip, skip + limit if limit else None))
        return [copy.deepcopy(project(document)) for document in window]

    def _count(self, collection: str, filter: Document) -> int:
        with self._lock:
            return sum(1 for _ in self._matching(collection, filter))

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
        with self._transaction():
            matching = self._matching(collection, filter)
            found = list(matching if many else islice(matching, 1))
            if not found and upsert:
                self._insert(collection, [upserted(filter, apply)])
                return 1
            for identity, (place, document) in found:
                changed = apply(copy.deepcopy(document))
                self._write(collection, identity, (place, changed))
            return len(found)

    def _delete(self, collection: str, filter: Document) -> int:
        with self._transaction():
            found = list(self._matching(collection, filter))
            for identity, _ in found:
                self._write(collection, identity, None)
            return len(found)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            start = len(self._undo)
            self._depth += 1
            try:
                yield
            except BaseException:
                self._roll_back(start)
                raise
            finally:
                self._depth -= 1
                if not self._depth:
                    self._undo.clear()

    def _write(self, collection: str, identity: bytes, row: _Row | None) -> None:
        rows = self._rows.setdefault(collection, {})
        self._undo.append((collection, identity, rows.get(identity)))
        if row is None:
            del rows[identity]
        else:
            rows[identity] = row

    def _roll_back(self, start: int) -> None:
        while len(self._undo) > start:
            collection, identity, row = self._undo.pop()
            if row is None:
                del self._rows[collection][identity]
            else:
                self._rows[collection][identity] = row
        for collection, rows in self._rows.items():
            in_order = sorted(rows.items(), key=lambda item: item[1][0])
            self._rows[collection] = dict(in_order)

    def _collections(self) -> list[str]:
        with self._lock:
            return sorted(name for name, rows in self._rows.items() if rows)

    def _put(self, artifacts: Sequence[Buffer]) -> list[str]:
        digests = [digest_of(artifact) for artifact in artifacts]
        moment = now()
        with self._lock:
            for digest, artifact in zip(digests, artifacts, strict=True):
                held = self._artifacts.get(digest)
                self._artifacts[digest] = held[0] if held else bytes(artifact), moment
        return digests

    def _get(self, digest: str) -> memoryview:
        try:
            return memoryview(self._artifacts[digest][0])
        except KeyError as error:
            raise absent(digest, self.url) from error

    def _stored(self, digests: Iterable[str] | None = None) -> dict[str, Stored]:
        with self._lock:
            held = self._artifacts
            wanted = held if digests is None else set(digests) & held.keys()
            return {
                digest: Stored(size=len(held[digest][0]), put=held[digest][1])
                for digest in wanted
            }

    def _drop(self, digests: Iterable[str], before: datetime) -> int:
        with self._lock:
            old = [
                digest
                for digest, stored in self._stored(digests).items()
                if stored.put < before
            ]
            return sum(len(self._artifacts.pop(digest)[0]) for digest in old)

    def _close(self) -> None:
        """Keep everything: there is nowhere else to read it from."""

    def _matching(
        self, collection: str, filter: Document
    ) -> Iterator[tuple[bytes, _Row]]:
        matches = compile_filter(filter)
        rows = self._rows.get(collection, {})
        return (item for item in rows.items() if matches(item[1][1]))
