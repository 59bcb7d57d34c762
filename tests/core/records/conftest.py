"""Databases of every kind, for runs that are copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import ptutils
from ptutils.core.records.document import new_id
from tests.core.copies import Make
from tests.mongod import Mongod, running_mongod

MONGO = pytest.param("mongodb", marks=pytest.mark.mongo)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A server without transactions."""
    with running_mongod(tmp_path_factory.mktemp("mongod")) as server:
        yield server


@pytest.fixture
def url_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str, str], str]:
    """Return the URL of a new database, given its kind and name."""

    def url(kind: str, name: str) -> str:
        if kind == "mongodb":
            server: Mongod = request.getfixturevalue("server")
            return server.url.replace("/test?", f"/{new_id()}?")
        return "memory:" if kind == "memory" else f"{kind}:{tmp_path / name}"

    return url


@pytest.fixture(params=["memory", "sqlite", "files", MONGO])
def make(
    request: pytest.FixtureRequest, url_of: Callable[[str, str], str]
) -> Iterator[Make]:
    """Open the database of a name."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(
            ptutils.connect(url_of(request.param, name))
        )
