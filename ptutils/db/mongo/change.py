"""An update: made by the server where it can, on this side where it cannot."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from bson.errors import BSONError
from pymongo.errors import PyMongoError

from ptutils.db.filters.update import compile_update
from ptutils.db.mongo.failures import does_not_fit
from ptutils.db.mongo.marks import IS_WHOLE, check_paths, named, place_of, stripped
from ptutils.db.mongo.questions import Question, is_pinned
from ptutils.db.mongo.statements import Statements
from ptutils.db.mongo.transactions import Transactions
from ptutils.db.writing import upserted
from ptutils.errors import DatabaseError
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.db.mongo.collection import StoredCollection

__all__ = ["Change"]

_FAILURES = (PyMongoError, BSONError, RecursionError)


class Change:
    """An update of what a filter finds.

    What the server refuses is done here: so a wrong update raises the same error as on
    every backend, and a document that becomes too large for the server is kept whole.

    Raises:
        QueryError: If filter or update are wrong.
    """

    def __init__(
        self,
        collection: StoredCollection,
        server: Statements,
        transactions: Transactions,
        filter: Document,
        update: Document,
    ) -> None:
        self._apply = compile_update(update)
        self._all = Question.checked(filter)
        self._first = Question.checked(filter, limit=1)
        check_paths(update=update)
        self._collection = collection
        self._server = server
        self._transactions = transactions
        self._filter = filter
        self._update = update

    def first(self) -> int:
        """Change the first that is found; return how many were."""
        pinned = is_pinned(self._filter)
        if not self._collection.is_real:
            return self._first_here()
        try:
            count = self._server.update_one(self._filter, self._update, pinned=pinned)
        except _FAILURES as error:
            if not does_not_fit(error):
                raise
            return self._first_here()
        if not count and pinned and self._is_kept_whole():
            return self._first_here()
        return count

    def first_or_inserted(self) -> int:
        """Change the first that is found, or insert what filter and update say."""
        while not self.first():
            try:
                self._collection.insert([upserted(self._filter, self._apply)])
            except DatabaseError:
                # Another process may have inserted it at this moment.
                if not self._collection.find(self._first):
                    raise
            else:
                break
        return 1

    def all_or_inserted(self) -> int:
        """Change all that are found, or insert what filter and update say."""
        with self._transactions.part():
            return self.all() or self.first_or_inserted()

    def all(self) -> int:
        """Change all that are found, or none; return how many were."""
        with self._transactions.part():
            if self._collection.must_answer():
                return self._all_here()
            try:
                with self._transactions.part():
                    return self._server.update_many(self._filter, self._update)
            except _FAILURES as error:
                if not does_not_fit(error):
                    raise
            return self._all_here()

    def _is_kept_whole(self) -> bool:
        wanted = {"_id": self._filter["_id"], **IS_WHOLE}
        return bool(self._server.find(wanted, (), limit=1))

    def _first_here(self) -> int:
        while found := self._collection.matching(self._first):
            if self._replace(found[0], self._changed(found[0])):
                return 1
        return 0

    def _all_here(self) -> int:
        found = self._collection.matching(self._all)
        changed = [self._changed(document) for document in found]
        for before, after in zip(found, changed, strict=True):
            if not self._replace(before, after):
                self._one_again(before)
        return len(found)

    def _one_again(self, document: Document) -> None:
        """Change a document that another process changed at this moment."""
        same = {"$and": [named(document), self._filter]}
        again = Change(
            self._collection, self._server, self._transactions, same, self._update
        )
        again.first()

    def _changed(self, document: Document) -> Document:
        return self._apply(stripped(copy.deepcopy(document)))

    def _replace(self, before: Document, after: Document) -> bool:
        return self._server.replace(
            before, self._collection.stored(after, place_of(before))
        )
