"""One SQLite file: opened when needed, safe across threads, processes and forks.

Every error of SQLite becomes one of ours here. A connection must not cross a fork, so
it is closed before one, and each side opens its own when it next needs it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ptutils.db.migrations import FORMAT, NEEDS
from ptutils.db.sqlite.schema import (
    APPLICATION,
    SIGNATURE,
    create_tables,
    needs,
    upgrade_tables,
)
from ptutils.errors import (
    CorruptError,
    DatabaseError,
    NotFoundError,
    UnavailableError,
)

__all__ = ["Store", "damaged"]

_PATIENCE_S: Final = 60.0
_FORK_PATIENCE_S: Final = 5.0
_CACHE_KIB: Final = 1 << 15
_RETRIED: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
_DAMAGED: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR")
"""Of our statements none is wrong: an error in one is a table that is damaged."""

_LARGEST_PAGE: Final = 1 << 16
_WHOLE: Final = ("COMMIT", "ROLLBACK")
_PART: Final = ("RELEASE part", "ROLLBACK TO part", "RELEASE part")
_OURS: Final = "a SQLite file of ptutils"
_ANOTHER: Final = "choose another name; what is there was left as it is"
_WRITABLE: Final = "make both writable, or go on with a copy elsewhere"


class Store:
    """A SQLite file in WAL mode, and the transactions on it.

    Args:
        path: Made on first use, in a folder that exists, for its owner only.
        migrate: Brings the documents up to the present format from an older one, which
            it is given; called within a transaction.
    """

    def __init__(self, path: Path, migrate: Callable[[int], None]) -> None:
        self.path = path
        self._migrate = migrate
        self._lock = threading.RLock()
        self._depth = 0
        self._connection: sqlite3.Connection | None = None
        self._is_lost = False
        _watch_forks()
        _STORES.add(self)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold one snapshot of the database."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self, *, waits: bool = True) -> Iterator[sqlite3.Connection]:
        """Write all or nothing, durable at the outermost exit.

        Args:
            waits: For another process that is writing.
        """
        patience_s = _PATIENCE_S if waits else 0.0
        with self._transaction("BEGIN IMMEDIATE", patience_s) as connection:
            yield connection

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock, self._translated():
            if self._connection is not None and not self._depth:
                self._connection.close()
                self._connection = None

    @property
    def is_in_use(self) -> bool:
        """Whether a transaction of this process is open."""
        return self._depth > 0

    def is_writable(self) -> bool:
        """Return whether this process may write the file and beside it."""
        return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)

    def check_writable(self) -> None:
        """Refuse a file that this process may only read.

        Raises:
            DatabaseError: If it is there, and it or its folder may not be written.
        """
        if self.path.exists() and not self.is_writable():
            raise self._refusal(
                "a file and a folder that may be written", "read-only", _WRITABLE
            )

    @contextlib.contextmanager
    def _transaction(
        self, begin: str, patience_s: float = _PATIENCE_S
    ) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            connection = self._begun(begin, patience_s)
            end, *undo = _PART if self._depth else _WHOLE
            self._depth += 1
            try:
                yield connection
                connection.execute(end)
            except BaseException:
                # A full disk makes SQLite undo everything by itself.
                for statement in undo if connection.in_transaction else ():
                    connection.execute(statement)
                raise
            finally:
                self._depth -= 1
                self._forget_snapshot()

    def _begun(self, begin: str, patience_s: float) -> sqlite3.Connection:
        if self._is_lost:
            raise DatabaseError(
                "cannot use a database in a process forked within its transaction",
                path=str(self.path),
                fix="fork outside of transactions",
            )
        if self._depth and self._connection is not None:
            if not self._connection.in_transaction:
                raise self._refusal(
                    "a transaction that has not failed", "one that was undone"
                )
            self._connection.execute("SAVEPOINT part")
            return self._connection
        if begin == "BEGIN IMMEDIATE":
            self.check_writable()
        deadline = time.monotonic() + patience_s
        while True:
            try:
                return self._try_begin(begin, patience_s)
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorname.startswith(_RETRIED)
                if not is_busy or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)

    def _try_begin(self, begin: str, patience_s: float) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
        self._connection.execute(f"PRAGMA busy_timeout = {patience_s * 1000:.0f}")
        self._connection.execute(begin)
        try:
            self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        return self._connection

    def _open(self) -> sqlite3.Connection:
        if not self.path.parent.is_dir():
            raise NotFoundError(
                "cannot create a database",
                path=str(self.path),
                expected=f"a folder {str(self.path.parent)!r}",
                got="no such folder",
                fix=f"mkdir -p {self.path.parent}",
            )
        if self.path.is_dir():
            raise self._refusal(_OURS, "a folder", _ANOTHER)
        is_new = not self.path.exists() or self.path.stat().st_size == 0
        is_ours = self.is_writable() or is_new
        if is_new:
            _make_private(self.path)
        mode = "rwc" if is_ours else self._reading_mode()
        connection = _connected(f"file:{quote(str(self.path))}?mode={mode}")
        try:
            if self._is_old(connection):
                connection = connection if is_ours else _copy_in_memory(connection)
                self._upgrade(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _reading_mode(self) -> str:
        log = self.path.with_name(self.path.name + "-wal")
        if os.access(self.path.parent, os.W_OK) or log.exists():
            return "ro"
        # SQLite could not make its side files; without a log there is nothing in them.
        return "ro&immutable=1"

    def _forget_snapshot(self) -> None:
        """Open a file that SQLite holds to be immutable anew for each transaction."""
        if not self._depth and self._connection is not None and not self.is_writable():
            self._connection.close()
            self._connection = None

    def _is_old(self, connection: sqlite3.Connection) -> bool:
        """Make a new file ours; return whether one that is there needs an upgrade."""
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        version = self._version(connection)
        if version > FORMAT:
            raise self._refusal(
                f"format {FORMAT} or older",
                f"format {version}",
                f"pip install -U '{needs(connection)}'",
            )
        if version == 0:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            self._create(connection)
        return 0 < version < FORMAT

    def _version(self, connection: sqlite3.Connection) -> int:
        # At once, while others may be making it.
        version, application, tables = connection.execute(
            """SELECT user_version, application_id, (SELECT COUNT(*) FROM sqlite_master)
               FROM pragma_user_version, pragma_application_id"""
        ).fetchone()
        is_marked = application == APPLICATION and version >= 0
        is_foreign = not is_marked and bool(tables or version)
        is_later = version > FORMAT and needs(connection) == NEEDS
        if is_later or bool(tables) > bool(version) or is_foreign:
            if _looks_like_ours(self.path):
                raise damaged("this database", self.path, "a mark that was changed")
            raise self._refusal(_OURS, "one of another program", _ANOTHER)
        return int(version)

    def _create(self, connection: sqlite3.Connection) -> None:
        with _exclusive(connection):
            if not self._version(connection):  # Another process may have been faster.
                create_tables(connection)

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        """Bring tables and documents up to the present format, all or nothing."""
        with _exclusive(connection):
            version = self._version(connection)
            if version == FORMAT:  # Another process was faster.
                return
            upgrade_tables(connection, version)
            # What migrates documents uses this store, within this transaction.
            self._connection, self._depth = connection, 1
            try:
                self._migrate(version)
            finally:
                self._connection, self._depth = None, 0

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._as_ours(error) from error

    def _as_ours(self, error: sqlite3.Error) -> DatabaseError:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_NOTADB" and not _looks_like_ours(self.path):
            return self._refusal(_OURS, "a file that is none", _ANOTHER)
        if name.startswith(_DAMAGED) or not name:  # It could not decode a text.
            return damaged("this database", self.path, str(error))
        if name.startswith(_RETRIED):
            return UnavailableError(
                "cannot use this database now",
                path=str(self.path),
                expected=f"its lock within {_PATIENCE_S:.0f} s",
                got=f"another process that holds it: {error}",
                fix=f"end the process that holds it: fuser {self.path}",
            )
        expected, fix = _explain(name)
        return self._refusal(expected, str(error), fix)

    def _refusal(self, expected: str, got: str, fix: str = "") -> DatabaseError:
        return DatabaseError(
            "cannot use this database",
            path=str(self.path),
            expected=expected,
            got=got,
            fix=fix,
        )


def damaged(what: str, path: Path, got: str) -> CorruptError:
    """Return the error for what a SQLite file holds no longer as it was written."""
    return CorruptError(
        f"cannot read {what}",
        path=str(path),
        expected="what was stored",
        got=got,
        fix=f"see what is lost, and mend it: ptutils verify --repair --db {path}",
    )


def _looks_like_ours(path: Path) -> bool:
    """Return whether a file that SQLite cannot open was made here."""
    with path.open("rb") as file:
        return SIGNATURE in file.read(_LARGEST_PAGE)


def _make_private(path: Path) -> None:
    """Make a file that is not there; SQLite gives its side files the same rights."""
    # Where that cannot be, SQLite says why when it opens the file.
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _connected(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=_PATIENCE_S,
        isolation_level=None,
        check_same_thread=False,
    )


def _copy_in_memory(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Close a connection; return one to a copy, where a file must not be changed."""
    copy = _connected("file::memory:")
    with contextlib.closing(connection):
        connection.backup(copy)
    return copy


@contextlib.contextmanager
def _exclusive(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _explain(name: str) -> tuple[str, str]:
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return "room to write", "free space on the disk; nothing was half written"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return "a file and a folder that may be read and written", "check permissions"
    return "an answer from SQLite", ""


_STORES: Final[weakref.WeakSet[Store]] = weakref.WeakSet()
_FORKING: Final[list[Store]] = []


@functools.cache
def _watch_forks() -> None:
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child
    )


def _before_fork() -> None:
    # SQLite counts its locks per process: a child that inherits a connection believes
    # that it holds locks which are its parent's, and could damage the file.
    for store in list(_STORES):
        # A thread that waits for this one must not stop it for ever.
        if store._lock.acquire(timeout=_FORK_PATIENCE_S):
            _FORKING.append(store)
            with contextlib.suppress(DatabaseError):
                store.close()


def _after_fork() -> None:
    while _FORKING:
        _FORKING.pop()._lock.release()


def _in_child() -> None:
    _FORKING.clear()
    for store in _STORES:
        store._lock = threading.RLock()
        store._is_lost = store._connection is not None
