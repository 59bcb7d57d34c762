"""Databases on a MongoDB server, with the answers of every other backend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from ptutils.core.dbinterface import DBInterface
from ptutils.core.hooks import Fault, Stored
from ptutils.core.loop.duration import Duration
from ptutils.db.compression import Compression, check_compression
from ptutils.db.filters.project import Projection
from ptutils.db.filters.sort import Sort
from ptutils.db.mongo.address import Address
from ptutils.db.mongo.collection import StoredCollection
from ptutils.db.mongo.connection import RESERVED, Connection
from ptutils.db.mongo.failures import translated
from ptutils.db.mongo.format import check_format
from ptutils.db.mongo.indexes import Indexes
from ptutils.db.mongo.marks import Places
from ptutils.db.mongo.packs import Packs
from ptutils.db.mongo.questions import Question
from ptutils.db.mongo.transactions import Transactions
from ptutils.db.mongo.whole import Wholes
from ptutils.errors import ConfigError
from ptutils.meta.codec import Buffer
from ptutils.meta.values import Document

__all__ = ["MongoInterface"]

_LOCAL: Final = "mongodb://localhost"


class MongoInterface(DBInterface):
    """A database on a MongoDB server: ``mongodb://USER:PASSWORD@HOST/DATABASE``.

    What was saved is journaled by most servers of a replica set. On a replica set or a
    cluster, transactions are the server's own. A single server has none: there, what
    fails is undone by this process, others may see it meanwhile, and it stays undone
    only in part if this process ends at that moment.

    The password appears nowhere: not in the config, not in errors, not in ``url``. A
    run that is resumed from its config takes it from ``PTUTILS_MONGO_PASSWORD``.

    Args:
        url: ``mongodb://`` or ``mongodb+srv://``, with any options of MongoDB, such as
            ``?tls=true&tlsCAFile=ca.pem``; the database is ``ptutils`` by default.
        patience: How long a run waits for the server when it is out of reach, before it
            goes on in a local file.
        compression: ``"zstd"`` to compress new packs; all packs are read either way.
        client: Used instead of one of our own, for example ``mongomock.MongoClient()``.

    Raises:
        ConfigError: If the patience is no length of time, or there is no such
            compression.
    """

    def __init__(
        self,
        url: str = _LOCAL,
        *,
        patience: str = "60 s",
        compression: Compression = None,
        client: Any = None,
    ) -> None:
        check_compression(compression)
        self.patience_s = _seconds(patience)
        address = Address.parse(url)
        self._ptutils.arguments["url"] = address.url
        self._connection = Connection(address, client)
        self._transactions = Transactions(self._connection)
        self._indexes = Indexes(self._connection)
        self._packs = Packs(self._connection, compression)
        self._wholes = Wholes(self._connection)
        self._places = Places()
        self._is_checked = False

    @property
    def url(self) -> str:
        """The address, without the password."""
        return self._connection.address.url

    def create_index(self, collection: str, path: str) -> None:
        """Speed up filters and sorts by a path; ``a.*`` indexes all leaves below ``a``.

        Documents that are there already are indexed before it returns.
        """
        with self._using():
            self._transactions.pause()
            self._indexes.make_for(collection, path)

    def _insert(self, collection: str, documents: Sequence[Document]) -> None:
        with self._using():
            self._collection(collection).insert(documents)

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
        question = Question.checked(filter, sort, limit, skip, projection)
        with self._using():
            return self._collection(collection).find(question)

    def _count(self, collection: str, filter: Document) -> int:
        question = Question.checked(filter)
        with self._using():
            return self._collection(collection).count(question)

    def _update(
        self,
        collection: str,
        filter: Document,
        update: Document,
        *,
        many: bool = False,
        upsert: bool = False,
    ) -> int:
        with self._using():
            change = self._collection(collection).changing(filter, update)
            if many:
                return change.all_or_inserted() if upsert else change.all()
            return change.first_or_inserted() if upsert else change.first()

    def _delete(self, collection: str, filter: Document) -> int:
        question = Question.checked(filter)
        with self._using():
            return self._collection(collection).delete(question)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._using(), self._transactions.part():
            yield

    def _collections(self) -> list[str]:
        with self._using():
            names = [
                name
                for name in self._connection.names()
                if not name.startswith((RESERVED, "system."))
            ]
            return sorted(
                name for name in names if self._connection.lenient(name).find_one()
            )

    def _put(self, artifacts: Sequence[Buffer]) -> list[str]:
        with self._using():
            return self._packs.put(artifacts)

    def _get(self, digest: str) -> memoryview:
        with self._using():
            return self._packs.get(digest)

    def _stored(self, digests: Iterable[str] | None = None) -> dict[str, Stored]:
        with self._using():
            return self._packs.stored(digests)

    def _drop(self, digests: Iterable[str], before: datetime) -> int:
        with self._using():
            freed = self._packs.drop(digests, before)
            stubs = [
                stub
                for name in self._collections()
                for stub in self._collection(name).stubs()
            ]
            self._wholes.clean(stubs, before)
            return freed

    def _inspect(self, *, repair: bool = False) -> Iterator[Fault]:
        """Find nothing of its own, and let nothing be taken from what was read before.

        All that a server keeps is read when documents and artifacts are.
        """
        self._packs.forget()
        yield from ()

    def _put_aside(self, digests: Iterable[str]) -> list[str]:
        with self._using():
            return self._packs.put_aside(digests)

    def _close(self) -> None:
        self._connection.close()
        self._packs.forget()
        self._is_checked = False

    def _collection(self, name: str) -> StoredCollection:
        return StoredCollection(
            name,
            self._connection,
            self._transactions,
            self._indexes,
            self._wholes,
            self._places,
        )

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        with self._connection.one_thread(), translated(self._connection.address):
            if not self._is_checked:
                self._is_checked = True
                try:
                    check_format(self, self._connection)
                except BaseException:
                    self._is_checked = False
                    raise
            yield


def _seconds(patience: str) -> float:
    seconds = Duration.parse(patience).seconds
    if seconds is None:
        raise ConfigError(
            "cannot wait so long for a server",
            path="patience",
            expected="a length of time, such as '60 s' or '5 min'",
            got=repr(patience),
        )
    return seconds
