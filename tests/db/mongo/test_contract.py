"""MongoInterface obeys the contract of a database, on three kinds of client."""

from __future__ import annotations

from typing import Any

import pytest

from ptutils.core.dbinterface import DBInterface
from ptutils.db.mongo.interface import MongoInterface
from ptutils.testing import DBInterfaceContract


class MongoContract(DBInterfaceContract):
    def damage(self, db: DBInterface, digest: str) -> None:
        assert isinstance(db, MongoInterface)
        packs = db._packs
        place: Any = packs._index.find_one({"_id": digest})
        chunks = packs._bucket.chunks
        number, start = divmod(place["offset"], 1 << 20)
        which = {"files_id": place["pack"], "n": number}
        data = bytearray((chunks.find_one(which) or {})["data"])
        data[start] ^= 1
        chunks.update_one(which, {"$set": {"data": bytes(data)}})


@pytest.mark.mongo
class TestStandalone(MongoContract):
    has_transactions = False

    @pytest.fixture
    def db(self, alone: MongoInterface) -> MongoInterface:
        return alone


@pytest.mark.mongo
class TestReplicaSet(MongoContract):
    @pytest.fixture
    def db(self, replicated: MongoInterface) -> MongoInterface:
        return replicated


class TestMongomock(MongoContract):
    has_transactions = False
    is_persistent = False

    @pytest.fixture
    def db(self, imitated: MongoInterface) -> MongoInterface:
        return imitated
