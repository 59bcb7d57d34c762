"""A real mongod for the tests that compare answers with it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mongod import running_mongod

pymongo = pytest.importorskip("pymongo")


@pytest.fixture(scope="session")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pymongo.MongoClient]:
    """A client of a mongod that lives as long as the test session."""
    with (
        running_mongod(tmp_path_factory.mktemp("mongod")) as server,
        pymongo.MongoClient(server.url, tz_aware=True) as client,
    ):
        yield client
