"""All or nothing, on servers with transactions and on those without.

A server aborts a whole transaction when one statement in it fails, or when another
client wrote the same documents first. So the statements are kept: what was aborted is
begun again, and goes on if all of them are answered as before. Where there are no
transactions, each write leaves behind how to undo it.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, TypeVar

from blake3 import blake3
from bson import encode
from pymongo.client_session import ClientSession
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from ptutils.db.mongo.connection import DURABLE, Connection
from ptutils.db.mongo.failures import is_transient
from ptutils.errors import ConflictError, DatabaseError

__all__ = ["Statement", "Transactions"]

_T = TypeVar("_T")
Statement = Callable[[ClientSession | None], _T]
_Undo = Callable[[], None]

_PATIENCE_S: Final = 120.0
"""More than the 60 s, and 30 until it looks, that a server keeps what was killed."""

_LONGEST_PAUSE_S: Final = 0.1
_UNKNOWN: Final = "UnknownTransactionCommitResult"


class Transactions:
    """The transactions of one database, one per thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._local = threading.local()
        self._lock = threading.RLock()
        self._owed: list[_Undo] = []

    @property
    def must_undo(self) -> bool:
        """Whether what is written now may have to be undone by us."""
        return isinstance(self._current, _Undone)

    @property
    def is_open(self) -> bool:
        """Whether this thread is within a transaction."""
        return self._current is not None

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """Do all that is done within, or nothing; parts may lie within parts."""
        outer = self._current
        current = outer or self._begun()
        start = current.mark()
        self._local.current = current
        try:
            yield
            if outer is None:
                current.commit()
        except BaseException:
            current.back_to(start)
            raise
        finally:
            self._local.current = outer
            if outer is None:
                current.end()

    def do(self, statement: Statement[_T], undo: _Undo | None = None) -> _T:
        """Run a statement in the transaction of this thread, if there is one.

        Args:
            statement: May be run more than once, if the server undid it.
            undo: Undoes it, also where it is unknown whether it was done.
        """
        self._settle()
        current = self._current
        if current is not None:
            return current.do(statement, undo)
        try:
            return statement(None)
        except ConnectionFailure:
            self._owe([undo] if undo else [])
            raise

    def remember(self, undo: _Undo) -> None:
        """Keep what undoes a statement that was done."""
        if isinstance(self._current, _Undone):
            self._current.remember(undo)

    def pause(self) -> None:
        """Let go of what the server holds for this thread; it is taken up again."""
        if self._current is not None:
            self._current.pause()

    @property
    def _current(self) -> _Current | None:
        current: _Current | None = getattr(self._local, "current", None)
        if current is not None and current.pid != os.getpid():
            raise DatabaseError(
                "cannot use a database in a process forked within its transaction",
                path=self._connection.address.url,
                fix="fork outside of transactions",
            )
        return current

    def _begun(self) -> _Current:
        self._settle()
        if self._connection.has_transactions:
            return _Replayed(self._connection)
        return _Undone(self._owe)

    def _owe(self, undos: list[_Undo]) -> None:
        with self._lock:
            self._owed += undos

    def _settle(self) -> None:
        """Undo what could not be undone while the server was away."""
        while self._owed:
            with self._lock:
                if self._owed:
                    self._owed[-1]()
                    self._owed.pop()


class _Current(Protocol):
    pid: int

    def mark(self) -> int: ...
    def do(self, statement: Statement[_T], undo: _Undo | None) -> _T: ...
    def back_to(self, mark: int) -> None: ...
    def pause(self) -> None: ...
    def commit(self) -> None: ...
    def end(self) -> None: ...


class _Undone:
    """Without transactions: a list of what undoes what was done."""

    def __init__(self, owe: Callable[[list[_Undo]], None]) -> None:
        self.pid = os.getpid()
        self._owe = owe
        self._undos: list[_Undo] = []

    def mark(self) -> int:
        return len(self._undos)

    def do(self, statement: Statement[_T], undo: _Undo | None) -> _T:
        if undo is not None:
            self.remember(undo)
        return statement(None)

    def remember(self, undo: _Undo) -> None:
        self._undos.append(undo)

    def back_to(self, mark: int) -> None:
        while len(self._undos) > mark:
            try:
                self._undos[-1]()
            except ConnectionFailure:
                self._owe(self._undos[mark:])
                del self._undos[mark:]
                return
            self._undos.pop()

    def pause(self) -> None:
        """Nothing is held."""

    def commit(self) -> None:
        self._undos.clear()

    def end(self) -> None:
        """Nothing is held."""


class _Replayed:
    """A transaction of the server, begun again whenever the server aborts it."""

    def __init__(self, connection: Connection) -> None:
        self.pid = os.getpid()
        self._connection = connection
        self._session: ClientSession = connection.client.start_session()
        self._done: list[tuple[Statement[Any], bytes]] = []
        self._deadline = time.monotonic() + _PATIENCE_S

    def mark(self) -> int:
        return len(self._done)

    def do(self, statement: Statement[_T], undo: _Undo | None) -> _T:
        def run() -> _T:
            self._catch_up()
            return statement(self._session)

        result = self._persist(run)
        self._done.append((statement, _digest(result)))
        return result

    def back_to(self, mark: int) -> None:
        if len(self._done) > mark:
            del self._done[mark:]
            self.pause()

    def pause(self) -> None:
        if self._session.in_transaction:
            with contextlib.suppress(PyMongoError):
                self._session.abort_transaction()

    def commit(self) -> None:
        if self._done:
            self._persist(self._commit)

    def end(self) -> None:
        self.pause()
        self._session.end_session()

    def _commit(self) -> None:
        self._catch_up()
        while True:
            try:
                self._session.commit_transaction()
                return
            except PyMongoError as error:
                # It may be done: only asking again tells, and that is safe.
                if not error.has_error_label(_UNKNOWN) or self._is_late():
                    raise
                time.sleep(_LONGEST_PAUSE_S)

    def _catch_up(self) -> None:
        if self._session.in_transaction:
            return
        self._session.start_transaction(
            read_concern=ReadConcern("snapshot"), write_concern=DURABLE
        )
        for statement, answer in self._done:
            if _digest(statement(self._session)) != answer:
                raise ConflictError(
                    "cannot write this: another process wrote the same at that moment",
                    path=self._connection.address.url,
                    expected="documents that stay as they were read",
                    got="other ones",
                    fix="do it again",
                )

    def _persist(self, run: Callable[[], _T]) -> _T:
        while True:
            try:
                return run()
            except PyMongoError as error:
                self.pause()
                if not is_transient(error) or self._is_late():
                    raise
            # By chance, so that two who are in each other's way do not stay so.
            time.sleep(random.random() * _LONGEST_PAUSE_S)  # noqa: S311

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline


def _digest(answer: Any) -> bytes:
    return blake3(encode({"answer": answer})).digest()
