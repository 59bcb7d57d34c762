"""Threads, forks and processes share a folder."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ptutils.db.files.interface import FileInterface
from ptutils.errors import DatabaseError

_FORK = multiprocessing.get_context("fork")

COUNTER = """
import sys
from ptutils.db.files.interface import FileInterface

db = FileInterface(sys.argv[1])
for number in range(25):
    db._update("count", {"_id": 0}, {"$inc": {"n": 1}}, upsert=True)
    db._insert("runs", [{"_id": f"{sys.argv[2]}-{number}", "tags": []}])
    db._update("runs", {"_id": "shared"}, {"$push": {"seen": number}})
"""


def test_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    db = FileInterface(str(folder))
    db._insert("runs", [{"_id": "shared", "seen": []}])
    children = [
        subprocess.Popen([sys.executable, "-c", COUNTER, folder, str(number)])
        for number in range(3)
    ]
    while any(child.poll() is None for child in children):
        for run in db._find("runs", {}):
            assert run["_id"] == "shared" or run["tags"] == []
    assert [child.wait() for child in children] == [0, 0, 0]
    assert db._find("count", {}) == [{"_id": 0, "n": 75}]
    assert db._count("runs", {}) == 76
    assert len(db._find("runs", {"_id": "shared"})[0]["seen"]) == 75


def test_what_another_writes_at_once_is_seen(tmp_path: Path) -> None:
    one, other = (FileInterface(str(tmp_path / "lab")) for _ in range(2))
    one._insert("c", [{"_id": 1, "n": 0}])
    for number in range(20):
        writer, reader = (one, other) if number % 2 else (other, one)
        writer._update("c", {}, {"$set": {"n": number}})
        assert reader._find("c", {})[0]["n"] == number


def test_artifact_of_another_is_found(tmp_path: Path) -> None:
    one, other = (FileInterface(str(tmp_path / "lab")) for _ in range(2))
    assert other._stored() == {}
    (digest,) = one._put([b"a" * 3000])
    assert bytes(other._get(digest)) == b"a" * 3000


def _insert(db: FileInterface) -> None:
    db._insert("c", [{"_id": "child"}])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_forked_process_goes_on(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    db._insert("c", [{"_id": "parent"}])
    child = _FORK.Process(target=_insert, args=(db,))
    child.start()
    child.join()
    assert [each["_id"] for each in db._find("c", {})] == ["parent", "child"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_process_forked_in_a_transaction_is_refused(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    reading, writing = os.pipe()
    with db._transaction():
        db._insert("c", [{"_id": "parent"}])
        child = os.fork()
        if not child:
            try:
                db.find()
            except DatabaseError as error:
                os.write(writing, error.what.encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    assert os.read(reading, 1000) == (
        b"cannot use a database in a process forked within its transaction"
    )
    os.close(reading)
    os.close(writing)
    assert FileInterface(str(tmp_path / "lab"))._count("c", {}) == 1


def test_copy_without_hidden_files_is_read_and_written(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    db._insert("c", [{"_id": 1}])
    (tmp_path / "lab/.lock").unlink()
    copy = FileInterface(str(tmp_path / "lab"))
    assert copy._find("c", {}) == [{"_id": 1}]
    copy._insert("c", [{"_id": 2}])
    assert copy._find("c", {}) == [{"_id": 1}, {"_id": 2}]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_may_not_be_written_is_read(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    db._insert("c", [{"_id": 1}])
    (tmp_path / "lab/.lock").chmod(0o400)
    assert db._find("c", {}) == [{"_id": 1}]
    with pytest.raises(DatabaseError, match="a folder that may be written"):
        db._insert("c", [{"_id": 2}])


def test_folder_whose_lock_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "lab/.lock").mkdir(parents=True)
    with pytest.raises(DatabaseError, match="a folder that may be written"):
        FileInterface(str(tmp_path / "lab")).save({"a": 1})
