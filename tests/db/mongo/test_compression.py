"""Compressed packs on a server: exact, verified, smaller."""

from __future__ import annotations

from typing import Any

import mongomock
import pytest

from ptutils.core.dbinterface import DBInterface
from ptutils.db.mongo.interface import MongoInterface
from ptutils.errors import CorruptError
from ptutils.testing.contract.artifacts import ArtifactsContract
from ptutils.testing.contract.exactness import ExactnessContract
from ptutils.testing.contract.runs import RunsContract


def damage(db: MongoInterface, digest: str) -> None:
    """Change the last byte of an artifact's frame."""
    place: Any = db._packs._index.find_one({"_id": digest})
    number, last = divmod(place["offset"] + place["frame"] - 1, 1 << 20)
    which = {"files_id": place["pack"], "n": number}
    chunks = db._packs._bucket.chunks
    content = bytearray((chunks.find_one(which) or {})["data"])
    content[last] ^= 1
    chunks.update_one(which, {"$set": {"data": bytes(content)}})


class Compressed(ArtifactsContract, ExactnessContract, RunsContract):
    def damage(self, db: DBInterface, digest: str) -> None:
        assert isinstance(db, MongoInterface)
        damage(db, digest)


@pytest.mark.mongo
class TestStandalone(Compressed):
    has_transactions = False

    @pytest.fixture
    def db(self, alone: MongoInterface) -> MongoInterface:
        return MongoInterface(alone.url, compression="zstd")


class TestMongomock(ArtifactsContract):
    has_transactions = False
    is_persistent = False

    @pytest.fixture
    def db(self) -> MongoInterface:
        return MongoInterface(client=mongomock.MongoClient(), compression="zstd")

    def damage(self, db: DBInterface, digest: str) -> None:
        assert isinstance(db, MongoInterface)
        damage(db, digest)


@pytest.fixture
def db() -> MongoInterface:
    return MongoInterface(client=mongomock.MongoClient(), compression="zstd")


def test_packs_are_smaller(db: MongoInterface) -> None:
    (digest,) = db._put([b"a" * 1_000_000])
    (file,) = db._packs._bucket.files.find()
    assert file["length"] < 1_000
    assert file["filename"].endswith(".zst.safetensors")
    assert db._stored()[digest].size == 1_000_000


def test_damaged_frame_is_put_aside(db: MongoInterface) -> None:
    good, bad = db._put([b"a" * 5000, b"b" * 5000])
    damage(db, bad)
    db.close()
    with pytest.raises(CorruptError, match=f"cannot read artifact {bad}"):
        db._get(bad)
    db._put_aside([bad])
    assert db._stored().keys() == {good}
    assert db._put([b"b" * 5000]) == [bad]
    assert db._get(bad) == b"b" * 5000
