"""What is asked of the server, one statement each, in the transaction of the thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from bson.errors import InvalidBSON
from pymongo.client_session import ClientSession

from ptutils.db.mongo.bson_values import in_utc, refuse_foreign
from ptutils.db.mongo.connection import RESERVED, Connection, Documents
from ptutils.db.mongo.indexes import Indexes
from ptutils.db.mongo.marks import (
    IS_WHOLE,
    MARK,
    PLACE,
    WHOLE,
    as_read,
    named,
    turning,
)
from ptutils.db.mongo.transactions import Transactions
from ptutils.errors import DatabaseError
from ptutils.meta.values import Document, Value

__all__ = ["IN_ORDER", "Statements"]

_T = TypeVar("_T")
_Order = Sequence[tuple[str, int]]

IN_ORDER: Final = ((PLACE, 1),)
_NOT_WHOLE: Final[Document] = {WHOLE: {"$exists": False}}


class Statements:
    """Reads and writes the documents of one collection as they lie on the server."""

    def __init__(
        self,
        collection: str,
        connection: Connection,
        transactions: Transactions,
        indexes: Indexes,
    ) -> None:
        if collection.startswith((RESERVED, "system.")):
            raise DatabaseError(
                "cannot use a collection of this name",
                path=connection.address.url,
                expected=f"a name that begins with neither {RESERVED!r} nor 'system.'",
                got=repr(collection),
            )
        self.name = collection
        self._connection = connection
        self._transactions = transactions
        self._indexes = indexes

    def find(
        self,
        filter: Document,
        order: _Order = IN_ORDER,
        *,
        limit: int = 0,
        skip: int = 0,
        projection: Document | None = None,
        with_stub: bool = False,
    ) -> list[Document]:
        """Return what the server finds, marks included.

        Args:
            filter: Of MongoDB.
            order: Pairs of a path and a direction, or none.
            limit: 0 for all.
            skip: How many to leave out.
            projection: None for whole documents.
            with_stub: Add a stub, the last, if the collection holds any: this asks
                the server once instead of twice.
        """

        def ask(documents: Documents, session: ClientSession | None) -> list[Document]:
            if with_stub:
                stages = _stages(filter, order, limit, skip, projection)
                pipeline = [*stages, _any_stub(self.name)]
                asked = {"allowDiskUse": True, **_in(session)}
                return list(documents.aggregate(pipeline, **asked))
            cursor = documents.find(
                filter, projection, skip=skip, limit=limit, **_in(session)
            )
            if order:
                cursor = cursor.sort(list(order))
            if order and self._connection.is_real:
                cursor = cursor.allow_disk_use(True)
            found = list(cursor)
            return found if self._connection.is_real else list(map(in_utc, found))

        try:
            return self._do(ask)
        except InvalidBSON:
            self._refuse_foreign(filter)
            raise

    def has_wholes(self) -> bool:
        """Return whether any document of the collection is kept whole."""

        def ask(documents: Documents, session: ClientSession | None) -> bool:
            return documents.find_one(IS_WHOLE, {"_id": 1}, **_in(session)) is not None

        return self._do(ask)

    def count(self, filter: Document) -> int:
        """Return how many documents, not kept whole, the server finds."""

        def ask(documents: Documents, session: ClientSession | None) -> int:
            return documents.count_documents(filter, **_in(session))

        return self._do(ask)

    def insert(self, documents: Sequence[Document]) -> None:
        """Insert marked documents, all or none."""
        mine = [_exactly(each) for each in documents]

        def write(target: Documents, session: ClientSession | None) -> None:
            if len(documents) == 1:
                target.insert_one(documents[0], **_in(session))
            else:
                target.insert_many(documents, **_in(session))

        def undo() -> None:
            self._connection.collection(self.name).delete_many({"$or": mine})

        self._write(write, undo)

    def update_one(self, filter: Document, update: Document, *, pinned: bool) -> int:
        """Update the first that the filter finds; return how many there were.

        Args:
            filter: Finds at most one if it is ``pinned``. Otherwise the server refuses
                the update if a stub comes before what is found.
            update: Is counted, too.
            pinned: Whether there is no need to look for the first.
        """
        change = turning(update)
        wanted = {"$and": [filter, _NOT_WHOLE]}
        if pinned and not self._transactions.must_undo:
            return self._write(_updating(wanted, change))
        if not pinned:
            # A stub that comes first is found, too, but nothing can be popped from what
            # is no list: so one question tells what would take two.
            wanted, change = {"$or": [filter, IS_WHOLE]}, {**change, "$pop": {WHOLE: 1}}
        shown = None if self._transactions.must_undo else {"_id": 1}

        def write(target: Documents, session: ClientSession | None) -> list[Document]:
            order = None if pinned else list(IN_ORDER)
            # The server's answer holds other values besides the document.
            lenient = self._connection.lenient(target.name)
            found = lenient.find_one_and_update(
                wanted, change, projection=shown, sort=order, **_in(session)
            )
            return [] if found is None else [found]

        before = self._write(write)
        self._transactions.remember(self._undoing(before))
        return len(before)

    def update_many(self, filter: Document, update: Document) -> int:
        """Update all that the filter finds; return how many there were."""
        change, wanted = turning(update), {"$and": [filter, _NOT_WHOLE]}

        def write(target: Documents, session: ClientSession | None) -> int:
            return target.update_many(wanted, change, **_in(session)).matched_count

        if self._transactions.must_undo:
            return self._write(write, self._undoing(self.find(wanted)))
        return self._write(write)

    def replace(self, before: Document, after: Document) -> bool:
        """Put a marked document in another's place, unless that was changed since."""
        turn = before.get(MARK, {}).get("turn", 0) + 1
        turned = {**after[MARK], "turn": turn}

        def write(target: Documents, session: ClientSession | None) -> bool:
            new = {**after, MARK: turned}
            done = target.replace_one(as_read(before), new, **_in(session))
            return done.matched_count > 0

        is_done = self._write(write)
        if is_done:
            self._transactions.remember(self._undoing([before]))
        return is_done

    def delete(self, filter: Document) -> int:
        """Delete all that the filter finds; return how many there were."""
        before = self.find(filter) if self._transactions.must_undo else []

        def write(target: Documents, session: ClientSession | None) -> int:
            return target.delete_many(filter, **_in(session)).deleted_count

        def undo() -> None:
            target = self._connection.collection(self.name)
            for document in before:
                target.replace_one(_exactly(document), document, upsert=True)

        return self._write(write, undo)

    def _undoing(self, before: Sequence[Document]) -> Callable[[], None]:
        def undo() -> None:
            target = self._connection.collection(self.name)
            for document in before:
                turn = document.get(MARK, {}).get("turn", 0)
                changed = {**_exactly(document), f"{MARK}.turn": turn + 1}
                target.replace_one(changed, document)

        return undo

    def _write(
        self,
        write: Callable[[Documents, ClientSession | None], _T],
        undo: Callable[[], None] | None = None,
    ) -> _T:
        if not self._indexes.has(self.name):
            self._transactions.pause()  # It would wait for our own transaction.
            self._indexes.make(self.name)
        return self._do(write, undo)

    def _do(
        self,
        ask: Callable[[Documents, ClientSession | None], _T],
        undo: Callable[[], None] | None = None,
    ) -> _T:
        def statement(session: ClientSession | None) -> _T:
            return ask(self._connection.collection(self.name), session)

        return self._transactions.do(statement, undo)

    def _refuse_foreign(self, filter: Document) -> None:
        for document in self._connection.lenient(self.name).find(filter):
            refuse_foreign(document, f"{self.name}.{document['_id']}")


def _stages(
    filter: Document,
    order: _Order,
    limit: int,
    skip: int,
    projection: Document | None,
) -> list[Document]:
    stages: list[Document] = [{"$match": filter}, {"$sort": dict(order)}]
    stages += [{"$skip": skip}] if skip else []
    stages += [{"$limit": limit}] if limit else []
    return [*stages, {"$project": projection}] if projection else stages


def _any_stub(collection: str) -> Document:
    pipeline = [{"$match": IS_WHOLE}, {"$limit": 1}]
    return {"$unionWith": {"coll": collection, "pipeline": pipeline}}


def _updating(
    filter: Document, change: Document
) -> Callable[[Documents, ClientSession | None], int]:
    def write(target: Documents, session: ClientSession | None) -> int:
        return target.update_one(filter, change, **_in(session)).matched_count

    return write


def _exactly(document: Document) -> Document:
    place: Value = document.get(MARK, {}).get("place")
    return {**named(document), PLACE: place}


def _in(session: ClientSession | None) -> dict[str, Any]:
    """Return the argument that names a session; mongomock takes none."""
    return {} if session is None else {"session": session}
