"""Transactions: all or nothing, inside each other, unseen until they end."""

from __future__ import annotations

import contextlib
import threading

import pytest

from ptutils.core.dbinterface import DBInterface
from ptutils.errors import DatabaseError
from ptutils.testing.contract.base import Contract, in_threads, plain_ids

__all__ = ["TransactionsContract"]


class TransactionsContract(Contract):
    """Several writes as one."""

    def test_transaction_keeps_all(self, db: DBInterface) -> None:
        with db._transaction():
            db._insert("c", [{"_id": 1}])
            db._update("c", {"_id": 1}, {"$set": {"a": 1}})
        assert db._find("c", {}) == [{"_id": 1, "a": 1}]

    def test_transaction_reads_what_it_wrote(self, db: DBInterface) -> None:
        with db._transaction():
            db._insert("c", [{"_id": 1}])
            assert db._count("c", {"_id": 1}) == 1

    def test_transaction_without_writes_does_nothing(self, db: DBInterface) -> None:
        with db._transaction():
            pass
        assert db._collections() == []

    def test_transaction_inside_another_keeps_all(self, db: DBInterface) -> None:
        with db._transaction():
            db._insert("c", [{"_id": 1}])
            with db._transaction():
                db._insert("c", [{"_id": 2}])
            db._insert("c", [{"_id": 3}])
        assert plain_ids(db, "c") == [1, 2, 3]

    def test_error_leaves_a_transaction_as_it_is(self, db: DBInterface) -> None:
        with pytest.raises(ZeroDivisionError), db._transaction():
            raise ZeroDivisionError

    @pytest.mark.usefixtures("needs_transactions")
    def test_failed_transaction_keeps_nothing(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": i} for i in range(3)])
        with contextlib.suppress(ZeroDivisionError), db._transaction():
            db._insert("c", [{"_id": 9}])
            db._update("c", {"_id": 1}, {"$set": {"a": 1}})
            db._delete("c", {"_id": 0})
            raise ZeroDivisionError
        assert db._find("c", {}) == [{"_id": i} for i in range(3)]

    @pytest.mark.usefixtures("needs_transactions")
    def test_failed_transaction_keeps_nothing_in_any_collection(
        self, db: DBInterface
    ) -> None:
        with contextlib.suppress(ZeroDivisionError), db._transaction():
            db._insert("c", [{"_id": 1}])
            db._insert("new", [{"_id": 1}])
            raise ZeroDivisionError
        assert db._collections() == []

    @pytest.mark.usefixtures("needs_transactions")
    def test_failed_whole_takes_back_its_finished_part(self, db: DBInterface) -> None:
        with contextlib.suppress(ZeroDivisionError), db._transaction():
            with db._transaction():
                db._insert("c", [{"_id": 1}])
            raise ZeroDivisionError
        assert db._find("c", {}) == []

    @pytest.mark.usefixtures("needs_transactions", "needs_savepoints")
    def test_failed_part_of_a_transaction_is_undone_alone(
        self, db: DBInterface
    ) -> None:
        with db._transaction():
            db._insert("c", [{"_id": 1}])
            with contextlib.suppress(DatabaseError), db._transaction():
                db._insert("c", [{"_id": 2}])
                db._insert("c", [{"_id": 1}])
        assert db._find("c", {}) == [{"_id": 1}]

    @pytest.mark.usefixtures("needs_transactions")
    def test_database_goes_on_after_a_failed_transaction(self, db: DBInterface) -> None:
        with contextlib.suppress(ZeroDivisionError), db._transaction():
            db._insert("c", [{"_id": 1}])
            raise ZeroDivisionError
        db._insert("c", [{"_id": 1, "a": 2}])
        assert db._find("c", {"a": 2}) == [{"_id": 1, "a": 2}]

    @pytest.mark.usefixtures("needs_transactions")
    def test_other_thread_sees_nothing_that_is_taken_back(
        self, db: DBInterface
    ) -> None:
        db._insert("c", [{"_id": 1}])
        seen: list[int] = []
        looking = threading.Thread(target=lambda: seen.append(db._count("c", {})))
        with contextlib.suppress(ZeroDivisionError), db._transaction():
            db._insert("c", [{"_id": 2}])
            looking.start()
            looking.join(0.2)  # It may look at once, or wait for the transaction.
            raise ZeroDivisionError
        looking.join()
        assert seen == [1]

    def test_transactions_of_threads_lose_nothing(self, db: DBInterface) -> None:
        db._insert("c", [{"_id": 0, "n": 0}])

        def work(number: int) -> None:
            for step in range(10):
                with db._transaction():
                    db._insert("c", [{"_id": f"{number}-{step}"}])
                    db._update("c", {"_id": 0}, {"$inc": {"n": 1}})

        in_threads(3, work)
        assert (db._count("c", {}), db._find("c", {"_id": 0})[0]["n"]) == (31, 30)
