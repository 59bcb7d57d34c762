"""What all parts of the contract share: how to open again, what cannot be had."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ptutils.core.dbinterface import DBInterface
from ptutils.db.connect import connect
from ptutils.meta.values import Value

__all__ = ["Contract", "in_threads", "plain_ids"]


class Contract:
    """Subclass with a fixture ``db`` that gives an empty database.

    Attributes:
        is_persistent: Whether what is stored outlives the object.
        has_transactions: Whether what a failed transaction wrote is taken back. A
            server without them keeps single writes whole, and no more.
        has_savepoints: Whether a transaction inside another one is taken back alone.
    """

    is_persistent = True
    has_transactions = True
    has_savepoints = True

    def reopen(self, db: DBInterface) -> DBInterface:
        """Open the data of ``db`` once more; override it where the URL is no way."""
        return connect(db.url)

    def damage(self, db: DBInterface, digest: str) -> None:
        """Change a byte of a stored artifact; override it where you can."""
        pytest.skip("nobody said how to damage an artifact of this database")

    @pytest.fixture
    def needs_transactions(self) -> None:
        """Skip where a database has none."""
        if not self.has_transactions:
            pytest.skip("this database has no transactions")

    @pytest.fixture
    def needs_savepoints(self) -> None:
        """Skip where a part of a transaction cannot be taken back."""
        if not self.has_savepoints:
            pytest.skip("this database takes back whole transactions only")

    @pytest.fixture
    def needs_persistence(self) -> None:
        """Skip where nothing outlives the object."""
        if not self.is_persistent:
            pytest.skip("nothing in this database outlives the object")


def in_threads(count: int, work: Callable[[int], Value]) -> list[Value]:
    """Run ``work`` with a number in each of some threads; return what each returned.

    What a thread raises is raised here.
    """
    results: list[Value] = [None] * count
    faults: list[BaseException] = []

    def run(number: int) -> None:
        try:
            results[number] = work(number)
        except BaseException as error:  # noqa: BLE001 - raised below
            faults.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return results


def plain_ids(db: DBInterface, collection: str, **find: Value) -> list[Value]:
    """Return the ids of what the hook ``_find`` finds, in its order."""
    filter = find.pop("filter", {})
    return [each["_id"] for each in db._find(collection, filter, **find)]
