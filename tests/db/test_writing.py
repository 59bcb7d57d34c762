"""What every embedded backend checks before it reads or writes."""

from __future__ import annotations

from typing import Any

import pytest

from ptutils.db.memory import MemoryInterface
from ptutils.errors import QueryError


@pytest.mark.parametrize("value", [-1, 2**31, 10**30, 1.0, True, None])
@pytest.mark.parametrize("name", ["limit", "skip"])
def test_window_that_no_server_takes_is_refused(name: str, value: Any) -> None:
    with pytest.raises(QueryError, match="from 0 to 2,147,483,647"):
        MemoryInterface().find(**{name: value})


def test_widest_window_finds_all() -> None:
    db = MemoryInterface()
    db.save({"_id": 1})
    assert len(db.find(limit=2**31 - 1)) == 1
    assert db.find(skip=2**31 - 1, limit=2**31 - 1) == []
