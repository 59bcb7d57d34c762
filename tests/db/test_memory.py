from __future__ import annotations

import pytest

from ptutils.db.memory import MemoryInterface
from ptutils.testing import DBInterfaceContract


class TestMemoryInterface(DBInterfaceContract):
    is_persistent = False

    @pytest.fixture
    def db(self) -> MemoryInterface:
        return MemoryInterface()


def test_every_memory_database_is_its_own() -> None:
    MemoryInterface()._insert("c", [{"_id": 1}])
    assert MemoryInterface()._count("c", {}) == 0
