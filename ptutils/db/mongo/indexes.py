"""Indexes on the server: made once, found again by name, never needed to be right."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from pymongo import IndexModel
from pymongo.errors import OperationFailure

from ptutils.db.filters.paths import field_path
from ptutils.db.mongo.connection import Connection
from ptutils.db.mongo.marks import PLACE, WHOLE

__all__ = ["Indexes"]

_CHOSEN: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "runs": (("status.phase", PLACE), ("experiment", PLACE), ("created", PLACE)),
    "checkpoints": (("run", "step", PLACE),),
    "history": (("run", PLACE),),
}

_TOO_MANY: Final = 67


class Indexes:
    """Makes the indexes of each collection before this process first writes to it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._known: set[tuple[str, str]] = set()

    def has(self, collection: str) -> bool:
        """Return whether the indexes are known to be there."""
        return (collection, "") in self._known

    def make(self, collection: str) -> None:
        """Make those that every collection has, and those chosen for this one."""
        chosen = ((PLACE,), *_CHOSEN.get(collection, ()))
        models = [IndexModel([(path, 1) for path in all]) for all in chosen]
        self._create(collection, [*models, _of_stubs()])
        self._known.add((collection, ""))

    def make_for(self, collection: str, path: str) -> None:
        """Make one for filters by a path, or by all paths below ``a.*``."""
        field_path(path.removesuffix(".*"), "an index")
        if path.endswith(".*"):
            keys = [(f"{path.removesuffix('.*')}.$**", 1)]
        else:
            keys = [(path, 1), (PLACE, 1)]
        self._create(collection, [IndexModel(keys)])

    def make_for_sort(self, collection: str, path: str, direction: int) -> None:
        """Make one for a sort by a path; a server that has too many does without."""
        name = (collection, f"{path} {direction}")
        if name in self._known:
            return
        self._known.add(name)
        try:
            self._create(collection, [IndexModel([(path, direction), (PLACE, 1)])])
        except OperationFailure as error:
            if error.code != _TOO_MANY:
                raise

    def _create(self, collection: str, models: Sequence[IndexModel]) -> None:
        with self._lock:
            self._connection.collection(collection).create_indexes(list(models))


def _of_stubs() -> IndexModel:
    """Return the index of the few documents that are kept whole in a file.

    It is asked together with every query, so it must be small, and in order.
    """
    only = {WHOLE: {"$exists": True}}
    return IndexModel([(PLACE, 1)], name=WHOLE, partialFilterExpression=only)
