from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ptutils
from ptutils.db.connect import connect
from ptutils.db.memory import MemoryInterface
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import DatabaseError, NotFoundError


def test_memory_is_opened() -> None:
    assert isinstance(ptutils.connect("memory:"), MemoryInterface)


@pytest.mark.parametrize("scheme", ["", "sqlite:", "SQLite:"])
def test_path_is_opened_as_sqlite(tmp_path: Path, scheme: str) -> None:
    db = connect(f"{scheme}{tmp_path}/runs.db")
    assert isinstance(db, SQLiteInterface)
    assert db.config == {"class": "SQLiteInterface", "path": f"{tmp_path}/runs.db"}


@pytest.mark.parametrize("scheme", ["mongodb", "mongodb+srv"])
def test_server_is_opened_without_asking_it(scheme: str) -> None:
    db = connect(f"{scheme}://localhost/x")
    assert (type(db).__name__, db.url) == ("MongoInterface", f"{scheme}://localhost/x")


def test_folder_is_opened(tmp_path: Path) -> None:
    db = connect(f"files:{tmp_path}")
    assert type(db).__name__ == "FileInterface"


def test_missing_folder_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="a folder at "):
        connect(f"files:{tmp_path}/runs", create=False)


def test_file_is_opened_without_the_driver_of_servers(tmp_path: Path) -> None:
    program = (
        "import sys, ptutils\n"
        "ptutils.connect(sys.argv[1]).save({'_id': 1})\n"
        "assert 'pymongo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "runs.db"], check=True)


def test_password_at_a_mistyped_scheme_is_not_shown() -> None:
    with pytest.raises(DatabaseError, match="did you mean 'mongodb:'") as caught:
        connect("mongdb://me:sec:r@et@host/db")
    assert "mongdb://me:***@host/db" in str(caught.value)
    assert "sec" not in str(caught.value)


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


def test_database_that_is_no_text_is_refused() -> None:
    with pytest.raises(DatabaseError, match="a path such as 'runs") as wrong:
        connect(None)  # type: ignore[arg-type] - a wrong call
    assert wrong.value.got == "None"


def test_path_object_is_opened(tmp_path: Path) -> None:
    assert connect(tmp_path / "runs.db").url == f"{tmp_path}/runs.db"


@pytest.mark.parametrize(
    ("url", "example"), [("sqlite:", "runs.db"), ("files:", "files:lab"), ("", "runs")]
)
def test_url_without_a_place_gives_an_example(url: str, example: str) -> None:
    with pytest.raises(DatabaseError, match=f"say where it is: {example}"):
        connect(url)


def test_folder_that_is_opened_as_a_file_says_how(tmp_path: Path) -> None:
    connect(f"files:{tmp_path}/lab").save({"_id": 1})
    with pytest.raises(DatabaseError, match=f"as a folder: files:{tmp_path}/lab"):
        connect(f"{tmp_path}/lab")
