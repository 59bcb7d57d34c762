"""One collection: its documents on the server, and those that are kept whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bson.errors import BSONError
from pymongo.errors import PyMongoError

from ptutils.db.mongo.change import Change
from ptutils.db.mongo.connection import Connection
from ptutils.db.mongo.failures import does_not_fit, is_duplicate, is_refused
from ptutils.db.mongo.indexes import Indexes
from ptutils.db.mongo.marks import (
    IS_WHOLE,
    WHOLE,
    Places,
    check_paths,
    marked,
    named,
    place_of,
    stripped,
)
from ptutils.db.mongo.questions import Question, is_pinned
from ptutils.db.mongo.statements import Statements
from ptutils.db.mongo.transactions import Transactions
from ptutils.db.mongo.whole import Wholes, is_whole
from ptutils.db.writing import duplicate, identify
from ptutils.errors import DatabaseError
from ptutils.meta.values import Document

__all__ = ["StoredCollection"]

_IS_PLAIN: Final[Document] = {WHOLE: {"$exists": False}}
_SUMMARY: Final = "summary."


class StoredCollection:
    """Finds, inserts, changes and deletes documents without their marks.

    Attributes:
        is_real: Whether a server answers, and not an imitation that errs.
    """

    def __init__(
        self,
        name: str,
        connection: Connection,
        transactions: Transactions,
        indexes: Indexes,
        wholes: Wholes,
        places: Places,
    ) -> None:
        self._server = Statements(name, connection, transactions, indexes)
        self._name = name
        self._url = connection.address.url
        self.is_real = connection.is_real
        self._transactions = transactions
        self._indexes = indexes
        self._wholes = wholes
        self._places = places

    def must_answer(self) -> bool:
        """Return whether the server does not see all, or is an imitation that errs."""
        return not self.is_real or self._server.has_wholes()

    def stubs(self) -> list[Document]:
        """Return what stands for the documents that are kept whole."""
        return self._server.find(IS_WHOLE)

    def find(self, question: Question) -> list[Document]:
        """Answer a question."""
        try:
            found = self._ask(question)
        except PyMongoError as error:
            if not is_refused(error):
                raise
            found = None
        if found is None:
            matching = map(stripped, self.matching(question))
            return [question.project(document) for document in matching]
        if question.shown is None:
            return [question.project(stripped(each)) for each in found]
        return list(map(stripped, found))

    def count(self, question: Question) -> int:
        """Return how many documents are found."""
        if not question.filter:
            return self._server.count({})
        if not self.is_real:
            return len(self.matching(question))
        try:
            if not self._server.has_wholes():
                return self._server.count(question.filter)
        except PyMongoError as error:
            if not is_refused(error):
                raise
        return len(self.matching(question))

    def insert(self, documents: Sequence[Document]) -> None:
        """Insert documents, all or none."""
        given = [identify(document)[1] for document in documents]
        for document in given:
            check_paths(projection=list(document))
        rows = [marked(document, self._places.next()) for document in given]
        try:
            try:
                self._insert(rows)
            except (PyMongoError, BSONError, RecursionError) as error:
                if not does_not_fit(error):
                    raise
                fitting = zip(given, map(place_of, rows), strict=True)
                self._insert([self.stored(*each) for each in fitting])
        except PyMongoError as error:
            if is_duplicate(error):
                raise self._duplicate(given) from error
            raise

    def delete(self, question: Question) -> int:
        """Delete what is found and return how many there were."""
        if not question.filter:
            return self._server.delete({})
        if self.is_real:
            stubs = self._matching_stubs(question)
            try:
                count = self._server.delete({"$and": [question.filter, _IS_PLAIN]})
                return count + sum(map(self._delete_one, stubs))
            except PyMongoError as error:
                if not is_refused(error):
                    raise
        return sum(map(self._delete_one, self.matching(question)))

    def changing(self, filter: Document, update: Document) -> Change:
        """Return a change that can be made to the first found, or to all."""
        return Change(self, self._server, self._transactions, filter, update)

    def matching(self, question: Question) -> list[Document]:
        """Return what is found, matched and sorted on this side, marks included."""
        if self.is_real:
            try:
                return question.sorted_here(self._candidates(question))
            except PyMongoError as error:
                if not is_refused(error):
                    raise
        found = self._server.find({})
        return question.sorted_here(
            self._wholes.loaded(each) if is_whole(each) else each for each in found
        )

    def stored(self, document: Document, place: int) -> Document:
        """Return what to keep on the server for a document, marked."""
        return self._wholes.stored(document, place)

    def _insert(self, rows: Sequence[Document]) -> None:
        if len(rows) == 1:
            self._server.insert(rows)
        elif rows:
            with self._transactions.part():
                self._server.insert(rows)

    def _delete_one(self, document: Document) -> int:
        return self._server.delete(named(document))

    def _duplicate(self, given: Sequence[Document]) -> DatabaseError:
        taken = (
            each["_id"]
            for each in reversed(given)
            if self._server.find(named(each), (), limit=1)
        )
        return duplicate(next(taken, given[-1]["_id"]), self._name, self._url)

    def _ask(self, question: Question) -> list[Document] | None:
        """Return the server's answer, or None if it does not see all that matters."""
        if not self.is_real:
            return None
        filter, order = question.filter, question.order
        if is_pinned(filter):
            rest = {name: each for name, each in filter.items() if name != "_id"}
            filter = {"_id": filter["_id"]}
            if rest:
                filter["$or"] = [rest, IS_WHOLE]
            order = []
        elif question.sort and question.limit:
            self._index_sort(question.sort)
        is_window = bool(question.limit or question.skip)
        if order and filter and not is_window:
            filter = {"$or": [filter, IS_WHOLE]}
        found = self._server.find(
            filter,
            order,
            limit=question.limit,
            skip=question.skip,
            projection=question.shown,
            with_stub=bool(order) and is_window,
        )
        return None if any(map(is_whole, found)) else found

    def _index_sort(self, sort: Sequence[tuple[str, int]]) -> None:
        path, direction = sort[0]
        is_metric = self._name == "runs" and path.startswith(_SUMMARY)
        if is_metric and not self._transactions.is_open:
            self._indexes.make_for_sort(self._name, path, direction)

    def _candidates(self, question: Question) -> list[Document]:
        """Return documents, marks included: at least all that the answer needs."""
        plain = self._server.find(
            {"$and": [question.filter, _IS_PLAIN]},
            question.order,
            limit=question.count,
        )
        return plain + self._matching_stubs(question)

    def _matching_stubs(self, question: Question) -> list[Document]:
        if is_pinned(question.filter):
            stubs = self._server.find({**IS_WHOLE, "_id": question.filter["_id"]})
        else:
            stubs = self.stubs() if self._server.has_wholes() else []
        wholes = map(self._wholes.loaded, stubs)
        return [each for each in wholes if question.matches(each)]
