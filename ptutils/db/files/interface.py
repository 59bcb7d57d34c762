"""The database as a folder that a person can read without ptutils."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

from ptutils.core.dbinterface import DBInterface
from ptutils.core.hooks import Fault, Stored, View
from ptutils.db.artifacts import digest_of
from ptutils.db.files.checkpoints import BULK
from ptutils.db.files.folder import Folder
from ptutils.db.files.form import wanted
from ptutils.db.files.inspection import inspect
from ptutils.db.files.rows import Row
from ptutils.db.files.shelf import Change, Found
from ptutils.db.filters.match import compile_filter
from ptutils.db.filters.project import Projection, compile_projection
from ptutils.db.filters.sort import Sort, check_sort, ordered
from ptutils.db.filters.update import compile_update
from ptutils.db.writing import check_window, duplicate, identify, upserted
from ptutils.errors import CorruptError
from ptutils.meta.codec import Buffer
from ptutils.meta.values import Document, Value

__all__ = ["FileInterface"]

_MUTABLE: Final = (dict, list)
_BULKY: Final[Document] = {name: {"skeleton": "", "types": ""} for name in BULK}


class FileInterface(DBInterface):
    """A database in a folder: YAML, CSV, JSON and safetensors, one folder per run.

    It is made on first use. What was saved survives a crash of the process and of the
    machine; any number of threads and processes may use it at once, and a person may
    read it, copy runs, and edit what ``docs/files.md`` says.

    Args:
        folder: Its parent must exist.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Folder(Path(folder).absolute())
        self._url = f"files:{folder}"
        self._changes: dict[tuple[str, bytes], Change] = {}
        self._undo: list[tuple[tuple[str, bytes], Change | None]] = []

    @property
    def url(self) -> str:
        """``files:`` and the folder, as it was given."""
        return self._url

    def _insert(self, collection: str, documents: Sequence[Document]) -> None:
        with self._transaction():
            for document in documents:
                identity, named = identify(document)
                if self._has(collection, identity, named):
                    raise duplicate(named["_id"], collection, self.url)
                place = self._folder.lock.next_place()
                row = Row(identity, place, _copied(named))
                self._write(collection, identity, None, row)

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
        has_bulk = _has_bulk(project(_BULKY))
        with self._folder.reading():
            found = {
                id(each.row.document): each
                for each in self._matching(collection, filter, sort)
            }
            documents = (each.row.document for each in found.values())
            in_order = ordered(documents, sort, count)
            window = list(islice(in_order, skip, count or None))
            if has_bulk:
                window = [found[id(document)].whole() for document in window]
        return [_copied(project(document)) for document in window]

    def _count(self, collection: str, filter: Document) -> int:
        with self._folder.reading():
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
            found = matching if many else matching[:1]
            if not found and upsert:
                self._insert(collection, [upserted(filter, apply)])
                return 1
            for each in found:
                changed = apply(_copied(each.whole()))
                row = replace(each.row, document=changed, is_whole=True)
                self._write(collection, row.identity, each, row)
            return len(found)

    def _delete(self, collection: str, filter: Document) -> int:
        with self._transaction():
            found = self._matching(collection, filter)
            for each in found:
                self._write(collection, each.row.identity, each, None)
            return len(found)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._folder.writing() as is_outermost:
            start = len(self._undo)
            try:
                yield
                if is_outermost:
                    self._folder.commit(self._changes.values())
            except BaseException:
                self._roll_back(start)
                raise
            finally:
                if is_outermost:
                    self._changes.clear()
                    self._undo.clear()

    def _collections(self) -> list[str]:
        with self._folder.reading():
            names = self._folder.collections()
            names |= {collection for collection, _ in self._changes}
            return sorted(name for name in names if self._is_used(name))

    def _put(self, artifacts: Sequence[Buffer]) -> list[str]:
        contents = [memoryview(each).cast("B") for each in artifacts]
        digests = [digest_of(each) for each in contents]
        new = dict(zip(digests, contents, strict=True))
        if not new:
            return []
        with self._folder.writing():
            for here in self._folder.holding.renew(digests):
                del new[here]
            self._folder.lock.tell()
        if new:
            self._folder.write_pack(new)
        return digests

    def _get(self, digest: str) -> memoryview:
        with self._folder.reading():
            return self._folder.holding.read(digest)

    def _private(self, digests: Collection[str]) -> View:
        with self._folder.reading():
            return self._folder.holding.private(digests).view

    def _stored(self, digests: Iterable[str] | None = None) -> dict[str, Stored]:
        asked = None if digests is None else set(digests)
        with self._folder.reading():
            return self._folder.holding.stored(asked)

    def _drop(self, digests: Iterable[str], before: datetime) -> int:
        with self._folder.writing():
            freed = self._folder.holding.drop(set(digests), before)
            self._folder.lock.tell()
            return freed

    def _inspect(self, *, repair: bool = False) -> Iterator[Fault]:
        yield from inspect(self._folder, is_repairing=repair)

    def _readable(self, collection: str) -> Iterator[Document]:
        shelf = self._folder.shelf
        with self._folder.reading():
            files = [
                (form, path)
                for form in shelf.forms(collection)
                for path in form.paths({})
            ]
        for form, path in files:
            documents: list[Document] = []
            with self._folder.reading(), contextlib.suppress(CorruptError):
                rows = shelf.read(form, path, self._folder.lock.count)
                documents = [_copied(form.whole(row, path)) for row in rows]
            yield from documents

    def _put_aside(self, digests: Iterable[str]) -> list[str]:
        with self._folder.writing():
            moved = self._folder.holding.put_aside(set(digests))
            self._folder.lock.tell()
            return [str(path) for path in moved]

    def _close(self) -> None:
        self._folder.close()

    def _matching(
        self, collection: str, filter: Document, sort: Sort = ()
    ) -> list[Found]:
        """Return all matches in the order of insertion."""
        matches = compile_filter(filter)
        needs_bulk = _has_bulk(_names(filter)) or _has_bulk(
            {path.partition(".")[0]: 1 for path, _ in sort}
        )
        found = {
            each.row.identity: each
            for each in self._folder.find(collection, wanted(filter))
        }
        for (changed, identity), change in self._changes.items():
            if changed == collection:
                found.pop(identity, None)
                if change.after is not None:
                    found[identity] = Found(change.after)
        rows = sorted(found.values(), key=lambda each: each.row.place)
        if needs_bulk:
            rows = [_filled(each) for each in rows]
        return [each for each in rows if matches(each.row.document)]

    def _has(self, collection: str, identity: bytes, document: Document) -> bool:
        if (collection, identity) in self._changes:
            return self._changes[collection, identity].after is not None
        only = wanted({name: document.get(name) for name in ("_id", "run")})
        return any(
            each.row.identity == identity
            for each in self._folder.find(collection, only)
        )

    def _is_used(self, collection: str) -> bool:
        try:
            return bool(self._matching(collection, {}))
        except CorruptError:
            return True  # There is something in it.

    def _write(
        self, collection: str, identity: bytes, found: Found | None, after: Row | None
    ) -> None:
        name = collection, identity
        earlier = self._changes.get(name)
        self._undo.append((name, earlier))
        before = earlier.before if earlier else found
        self._changes[name] = Change(collection, before, after)

    def _roll_back(self, start: int) -> None:
        while len(self._undo) > start:
            name, change = self._undo.pop()
            if change is None:
                del self._changes[name]
            else:
                self._changes[name] = change


def _filled(found: Found) -> Found:
    document = found.whole()
    return replace(found, row=replace(found.row, document=document, is_whole=True))


def _has_bulk(document: Document) -> bool:
    """Return whether the bulk of a checkpoint is asked for."""
    return "artifacts" in document or bool(document.get("state"))


def _names(filter: Value) -> Document:
    """Return the fields that a filter looks at."""
    names: Document = {}
    for name, value in filter.items():
        if name == "$expr":
            names["artifacts"] = 1  # It may look at anything.
        elif name.startswith("$"):
            for part in value if isinstance(value, list) else ():
                names |= _names(part)
        else:
            names[name.partition(".")[0]] = 1
    return names


def _copied(value: Value) -> Value:
    """Return a copy of a plain value that shares no list or dict with it."""
    if type(value) is dict:
        return {
            name: _copied(each) if type(each) in _MUTABLE else each
            for name, each in value.items()
        }
    if type(value) is list:
        return [_copied(each) if type(each) in _MUTABLE else each for each in value]
    return value
