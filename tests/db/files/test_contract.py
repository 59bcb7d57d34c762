"""The folder of files does what every database must do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptutils.core.dbinterface import DBInterface
from ptutils.db.files.interface import FileInterface
from ptutils.testing import DBInterfaceContract


class TestFileInterface(DBInterfaceContract):
    @pytest.fixture
    def db(self, tmp_path: Path) -> FileInterface:
        return FileInterface(str(tmp_path / "folder"))

    def reopen(self, db: DBInterface) -> FileInterface:
        return FileInterface(db.url.removeprefix("files:"))

    def damage(self, db: DBInterface, digest: str) -> None:
        folder = Path(db.url.removeprefix("files:"))
        content = db._get(digest)
        for path in folder.rglob("*.safetensors"):
            whole = bytearray(path.read_bytes())
            at = whole.find(bytes(content))
            if at >= 0:
                whole[at] ^= 1
                path.write_bytes(whole)
