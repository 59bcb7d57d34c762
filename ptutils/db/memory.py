"""A database in memory, for tests and for what need not last."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator, Sequence
from itertools import islice

from ptutils.core.dbinterface import DBInterface
from ptutils.db.artifacts import absent, digest_of
from ptutils.db.filters.match import compile_filter
from ptutils.db.filters.project import Projection, compile_projection
from ptutils.db.filters.sort import Sort, ordered
from ptutils.db.filters.update import compile_update
from ptutils.db.writing import check_window, duplicate, identify, upserted
from ptutils.meta.codec import Buffer
from ptutils.meta.values import Document

__all__ = ["MemoryInterface"]

_Collection = dict[bytes, Document]


class MemoryInterface(DBInterface):
    """A database that lives as long as the object; every one is its own."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._documents: dict[str, _Collection] = {}
        self._artifacts: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        """Always ``memory:``, which opens a new one."""
        return "memory:"

    def _insert(self, collection: str, documents: Sequence[Document]) -> None:
        with self._transaction():
            stored = self._documents.setdefault(collection, {})
            for document in documents:
                identity, named = identify(document)
                if identity in stored:
                    raise duplicate(named["_id"], collection, self.url)
                stored[identity] = copy.deepcopy(named)

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
                (document for _, document in matching), sort, limit and skip + limit
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
            for identity, document in found:
                changed = apply(copy.deepcopy(document))
                self._documents[collection][identity] = changed
            return len(found)

    def _delete(self, collection: str, filter: Document) -> int:
        with self._transaction():
            found = [identity for identity, _ in self._matching(collection, filter)]
            for identity in found:
                del self._documents[collection][identity]
            return len(found)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            if self._depth:
                yield
                return
            # Documents are replaced, never changed: copies of the dicts are enough.
            before = {name: dict(stored) for name, stored in self._documents.items()}
            self._depth += 1
            try:
                yield
            except BaseException:
                self._documents = before
                raise
            finally:
                self._depth -= 1

    def _put(self, artifacts: Sequence[Buffer]) -> list[str]:
        digests = [digest_of(artifact) for artifact in artifacts]
        for digest, artifact in zip(digests, artifacts, strict=True):
            if digest not in self._artifacts:
                self._artifacts[digest] = bytes(artifact)
        return digests

    def _get(self, digest: str) -> memoryview:
        try:
            return memoryview(self._artifacts[digest])
        except KeyError as error:
            raise absent(digest, self.url) from error

    def _close(self) -> None:
        """Keep everything: there is nowhere else to read it from."""

    def _matching(
        self, collection: str, filter: Document
    ) -> Iterator[tuple[bytes, Document]]:
        matches = compile_filter(filter)
        stored = self._documents.get(collection, {})
        return ((name, each) for name, each in stored.items() if matches(each))
