"""Servers that live as long as the test session, and empty databases on them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import mongomock
import pytest

from ptutils.db.mongo.interface import MongoInterface
from tests.mongod import Mongod, running_mongod

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def standalone(tmp_path_factory: Any) -> Iterator[Mongod]:
    """A server without transactions."""
    with running_mongod(tmp_path_factory.mktemp("standalone")) as server:
        yield server


@pytest.fixture(scope="session")
def replica_set(tmp_path_factory: Any) -> Iterator[Mongod]:
    """A server with transactions."""
    folder = tmp_path_factory.mktemp("replica-set")
    with running_mongod(folder, replica_set=True) as server:
        yield server


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: Any) -> Iterator[Mongod]:
    """A server with a user and a password, over TLS."""
    with running_mongod(tmp_path_factory.mktemp("guarded"), auth=True, tls=True) as one:
        yield one


def empty(server: Mongod) -> Iterator[MongoInterface]:
    """Yield an empty database, which is dropped afterwards."""
    url = server.url.replace("/test?", f"/test{next(_NUMBERS)}?")
    with MongoInterface(url) as db:
        yield db
        connection = db._connection
        connection.client.drop_database(connection.address.database)


@pytest.fixture
def alone(standalone: Mongod) -> Iterator[MongoInterface]:
    """An empty database without transactions."""
    yield from empty(standalone)


@pytest.fixture
def replicated(replica_set: Mongod) -> Iterator[MongoInterface]:
    """An empty database with transactions."""
    yield from empty(replica_set)


@pytest.fixture
def imitated() -> MongoInterface:
    """An empty database of mongomock."""
    return MongoInterface(client=mongomock.MongoClient())


@pytest.fixture(params=["alone", "replicated"])
def db(request: Any) -> MongoInterface:
    """An empty database on a real server, of either kind."""
    found: MongoInterface = request.getfixturevalue(request.param)
    return found
