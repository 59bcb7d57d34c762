"""One client of a MongoDB server: opened when needed, safe across threads and forks.

A client must not cross a fork: the child opens its own when it next needs one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from bson.codec_options import CodecOptions
from pymongo import MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConfigurationError
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from ptutils.db.mongo.address import Address
from ptutils.db.mongo.bson_values import OPTIONS, SIMPLE_OPTIONS

__all__ = ["DURABLE", "RESERVED", "Connection", "Documents"]

Documents: TypeAlias = Collection[dict[str, Any]]

_LOG: Final = logging.getLogger("ptutils")

DURABLE: Final = WriteConcern(w="majority", j=True)
"""On the disks of most of the servers when a write returns."""

_LASTING: Final = ReadConcern("majority")
"""What is read stays: nobody acts on what a crash of the server takes back."""

RESERVED: Final = "ptutils."
"""What the names of collections begin with that users do not see."""

_PATIENCE_MS: Final = 5_000
_SILENCE_MS: Final = 300_000
_SETTINGS: Final[dict[str, Any]] = {
    "serverSelectionTimeoutMS": _PATIENCE_MS,
    "connectTimeoutMS": _PATIENCE_MS,
    "socketTimeoutMS": _SILENCE_MS,
    "appName": "ptutils",
}


class Connection:
    """A database on a server.

    Args:
        address: Where it is.
        client: A client to use, such as one of mongomock; otherwise one is made.
    """

    def __init__(self, address: Address, client: Any = None) -> None:
        self.address = address
        self._given = client
        self._client: Any = client
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._has_transactions: bool | None = None
        self._known: dict[str, tuple[Any, Documents]] = {}

    @property
    def is_real(self) -> bool:
        """Whether a server answers, and not an imitation of one."""
        return self._given is None or isinstance(self._given, MongoClient)

    @property
    def client(self) -> Any:
        """The client of this process."""
        if self._client is None or self._pid != os.getpid():
            self._open()
        return self._client

    @property
    def has_transactions(self) -> bool:
        """Whether the server is a member of a replica set, or leads to one."""
        if not self.is_real:
            return False
        client = self.client
        if self._has_transactions is None:
            about = client.admin.command("hello")
            self._has_transactions = "setName" in about or "msg" in about
        return self._has_transactions

    @contextlib.contextmanager
    def one_thread(self) -> Iterator[None]:
        """Keep out other threads, from an imitation that bears no two at once."""
        with contextlib.nullcontext() if self.is_real else self._lock:
            yield

    def collection(self, name: str) -> Documents:
        """Return a collection; writes to it are durable when they return."""
        client = self.client
        known = self._known.get(name)
        if known is None or known[0] is not client:
            known = client, self._database(OPTIONS).get_collection(name)
            self._known[name] = known
        return known[1]

    def lenient(self, name: str) -> Documents:
        """Return a collection that reads every type that BSON knows."""
        found: Documents = self._database(SIMPLE_OPTIONS).get_collection(name)
        return found

    def names(self) -> list[str]:
        """Return the names of all collections, ours too."""
        found: list[str] = self._database(SIMPLE_OPTIONS).list_collection_names()
        return found

    def close(self) -> None:
        """Close the client, if it is ours; the next use opens another."""
        with self._lock:
            if self._client is not None and self._given is None:
                self._finish()
                self._client = None
                self._known.clear()

    def _database(self, options: Any) -> Database[dict[str, Any]]:
        client = self.client
        if not self.is_real:  # mongomock takes fewer options, and keeps ints as ints.
            found: Database[dict[str, Any]] = client.get_database(
                self.address.database, codec_options=CodecOptions(tz_aware=True)
            )
            return found
        return Database(
            client,
            self.address.database,
            codec_options=options,
            read_preference=ReadPreference.PRIMARY,
            write_concern=DURABLE,
            read_concern=_LASTING,
        )

    def _open(self) -> None:
        with self._lock:
            if self._client is not None and self._pid == os.getpid():
                return
            if self._given is not None and self._client is not None:
                self._pid = os.getpid()  # The caller's own, who knows of the fork.
                return
            url = self.address.to_connect()
            for option in self.address.trusting:
                _LOG.warning(
                    "whoever answers at %s is believed to be the server, and sees the "
                    "password and all data, because the address says %s; rather name "
                    "the authority's file: ...?tls=true&tlsCAFile=ca.pem",
                    self.address.url,
                    option,
                )
            try:
                client = _connected(url)
            except ValueError as error:
                raise ConfigurationError(str(error)) from None
            self._finish = weakref.finalize(self, _close, client, os.getpid())
            self._client, self._pid = client, os.getpid()
            self._has_transactions = None


def _close(client: MongoClient[dict[str, Any]], pid: int) -> None:
    if pid == os.getpid():  # What a fork inherited belongs to the parent.
        client.close()


def _connected(url: str) -> MongoClient[dict[str, Any]]:
    """Return a client with our settings, except for those that the URL gives."""
    is_seedlist = url.startswith("mongodb+srv:")  # Its options are in the DNS.
    given = {} if is_seedlist else parse_uri(url, warn=False)["options"]
    known = {name.lower() for name in given}
    settings = {
        name: value for name, value in _SETTINGS.items() if name.lower() not in known
    }
    return MongoClient(url, **settings)
