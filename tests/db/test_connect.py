from __future__ import annotations

from pathlib import Path

import pytest

import ptutils
from ptutils.db.connect import connect
from ptutils.db.memory import MemoryInterface
from ptutils.db.sqlite import SQLiteInterface
from ptutils.errors import DatabaseError, NotFoundError


def test_memory_is_opened() -> None:
    assert isinstance(ptutils.connect("memory:"), MemoryInterface)


@pytest.mark.parametrize("scheme", ["", "sqlite:", "SQLite:"])
def test_path_is_opened_as_sqlite(tmp_path: Path, scheme: str) -> None:
    db = connect(f"{scheme}{tmp_path}/runs.db")
    assert isinstance(db, SQLiteInterface)
    assert db.config == {"class": "SQLiteInterface", "path": f"{tmp_path}/runs.db"}


@pytest.mark.parametrize("url", ["mongodb://localhost/x", "files:folder"])
def test_backend_to_come_is_not_yet_available(url: str) -> None:
    with pytest.raises(
        DatabaseError, match=r"expected: .*'memory:'\n.*not yet available"
    ):
        connect(url)


def test_mistyped_scheme_gives_the_nearest() -> None:
    with pytest.raises(DatabaseError, match="did you mean 'sqlite:'"):
        connect("sqllite:runs.db")


@pytest.mark.parametrize("url", ["zzzz:x", "sqlite:", "memory:x"])
def test_other_url_is_refused(url: str) -> None:
    with pytest.raises(DatabaseError, match="cannot open this database"):
        connect(url)


def test_missing_file_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"a file at .*runs\.db(.|\n)*ptutils run"):
        connect(f"{tmp_path}/runs.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_there_is_opened_by_a_reader(tmp_path: Path) -> None:
    with connect(f"{tmp_path}/runs.db") as db:
        db.save({"_id": 1})
    with connect(f"{tmp_path}/runs.db", create=False) as db:
        assert db.load(1) == {"_id": 1}
