from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import (
    CorruptError,
    DatabaseError,
    NotFoundError,
    QueryError,
    UnavailableError,
)
from ptutils.testing import DBInterfaceContract

NOBODY = 65534


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SQLiteInterface]:
    with SQLiteInterface(str(tmp_path / "runs.db")) as db:
        yield db


class TestSQLiteInterface(DBInterfaceContract):
    @pytest.fixture
    def db(self, tmp_path: Path) -> Iterator[SQLiteInterface]:
        with SQLiteInterface(str(tmp_path / "runs.db")) as db:
            yield db

    def damage(self, db: SQLiteInterface, digest: str) -> None:
        artifact = bytes(db._get(digest))
        for pack in db._packs.folder.iterdir():
            damaged = pack.read_bytes().replace(artifact, b"?" + artifact[1:])
            pack.write_bytes(damaged)


def statements(db: SQLiteInterface) -> list[str]:
    """Return a list that grows with every SQL statement from now on."""
    seen: list[str] = []
    with db._store.reading() as connection:
        connection.set_trace_callback(seen.append)
    return seen


def in_child(work: object) -> int:
    """Run a function in a forked process and return its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work() or 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_constructing_touches_no_file(tmp_path: Path) -> None:
    SQLiteInterface(str(tmp_path / "none" / "runs.db"))
    assert list(tmp_path.iterdir()) == []


def test_url_opens_the_same_database(db: SQLiteInterface) -> None:
    db._insert("c", [{"_id": 1}])
    assert SQLiteInterface(db.url)._count("c", {}) == 1


def test_url_of_a_path_with_a_colon_names_its_scheme() -> None:
    assert SQLiteInterface("a:b.db").url == "sqlite:a:b.db"


def test_path_is_fixed_when_constructed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with SQLiteInterface("runs.db") as db:
        monkeypatch.chdir("/")
        db._insert("c", [{"_id": 1}])
    assert (tmp_path / "runs.db").exists()


def test_path_with_special_letters_works(tmp_path: Path) -> None:
    with SQLiteInterface(str(tmp_path / "a ?#%41&b.db")) as db:
        db._insert("c", [{"_id": 1}])
    assert (tmp_path / "a ?#%41&b.db").exists()


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    path.write_text("no database, but long enough to be looked at " * 20)
    with pytest.raises(DatabaseError, match="a file that is none"):
        SQLiteInterface(str(path))._count("c", {})


def test_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text)")
    connection.close()
    with pytest.raises(DatabaseError, match="one of another program"):
        SQLiteInterface(str(path))._insert("c", [{}])


def test_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    path.touch()
    with SQLiteInterface(str(path)) as db:
        db._insert("c", [{"_id": 1}])
        assert db._count("c", {}) == 1


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
def test_database_is_for_its_owner_only(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with SQLiteInterface(str(tmp_path / "runs.db")) as db:
            db._insert("c", [{}])
            db._put([bytes(2000)])
            found = {each: each.stat().st_mode & 0o777 for each in tmp_path.rglob("*")}
    finally:
        os.umask(before)
    assert {each.suffix for each in found} == {
        ".db",
        ".db-shm",
        ".db-wal",
        ".artifacts",
        ".safetensors",
    }
    for path, mode in found.items():
        assert mode == (0o700 if path.is_dir() else 0o600) & ~mask


def test_database_that_is_there_keeps_its_rights(db: SQLiteInterface) -> None:
    db._insert("c", [{}])
    db.close()
    Path(db.url).chmod(0o640)
    db._insert("c", [{}])
    assert {Path(db.url + end).stat().st_mode & 0o777 for end in ("", "-wal")} == {
        0o640
    }


def test_database_that_may_not_be_read_is_an_error(readable: SQLiteInterface) -> None:
    Path(readable.url).chmod(0o600)

    def work() -> int:
        with pytest.raises(DatabaseError, match="check permissions"):
            readable._count("c", {})
        return 0

    assert as_nobody(work) == 0


def test_missing_folder_is_named(tmp_path: Path) -> None:
    db = SQLiteInterface(str(tmp_path / "none" / "runs.db"))
    with pytest.raises(NotFoundError, match=r"fix: +mkdir -p .*none"):
        db._insert("c", [{}])


def test_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match=r"got: +a folder"):
        SQLiteInterface(str(tmp_path))._count("c", {})


def test_damaged_file_is_an_error(db: SQLiteInterface) -> None:
    db._insert("c", [{"_id": i, "text": "x" * 100} for i in range(1000)])
    db.close()
    with Path(db.url).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 20)
    with pytest.raises(CorruptError, match="ptutils verify --repair"):
        db._find("c", {})


def test_damaged_document_is_an_error(db: SQLiteInterface) -> None:
    db._insert("c", [{"_id": 1}])
    with db._store.writing() as connection:
        connection.execute("UPDATE documents_1 SET text = '{'")
    with pytest.raises(CorruptError, match="cannot read a document"):
        db._find("c", {})


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE documents_1",
        "DELETE FROM documents_1",
        "UPDATE documents_1 SET text = replace(text, '42', '43')",
        "UPDATE documents_1 SET text = CAST(x'7bff7d' AS TEXT)",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 514",
        "PRAGMA application_id = 7",
    ],
)
def test_damage_is_an_error_that_names_the_way_to_mend_it(
    db: SQLiteInterface, damage: str
) -> None:
    db._insert("runs", [{"_id": 1, "experiment": 42}])
    db.close()
    with closing(sqlite3.connect(db.url)) as connection:
        connection.execute(damage)
        connection.commit()
    with pytest.raises(CorruptError, match="ptutils verify --repair"):
        db._find("runs", {"experiment": 42}, sort=[("experiment", 1)], limit=1)


def test_document_of_an_earlier_format_has_no_stamp(db: SQLiteInterface) -> None:
    db._insert("c", [{"_id": 1}])
    with db._store.writing() as connection:
        connection.execute("UPDATE documents_1 SET text = trim(text, ' ' || x'090a0d')")
    assert db._find("c", {}) == [{"_id": 1}]


@pytest.fixture
def readable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SQLiteInterface]:
    """A database that everybody may read and nobody but root may write."""
    folder = tmp_path_factory.mktemp("readable")
    for parent in (folder, *folder.parents):
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(parent.stat().st_mode | 0o055)
    folder.chmod(0o755)
    db = SQLiteInterface(str(folder / "runs.db"))
    db._insert("c", [{"_id": 1}])
    db.close()
    Path(db.url).chmod(0o644)
    folder.chmod(0o555)
    yield db
    folder.chmod(0o755)


def as_nobody(work: object) -> int:
    def drop_and_work() -> int:
        if os.getuid() == 0:
            os.setuid(NOBODY)
        return work()

    return in_child(drop_and_work)


def test_read_only_database_can_be_read(readable: SQLiteInterface) -> None:
    assert as_nobody(lambda: readable._count("c", {}) - 1) == 0


def test_read_only_database_is_not_written(readable: SQLiteInterface) -> None:
    def work() -> int:
        with pytest.raises(DatabaseError, match=r"got: +read-only"):
            readable._insert("c", [{"_id": 2}])
        return 0

    assert as_nobody(work) == 0


def test_database_cannot_be_made_in_a_read_only_folder(
    readable: SQLiteInterface,
) -> None:
    def work() -> int:
        with pytest.raises(DatabaseError, match="check permissions"):
            SQLiteInterface(readable.url + "2")._insert("c", [{}])
        return 0

    assert as_nobody(work) == 0


def test_full_disk_is_an_error_and_keeps_what_was_there(db: SQLiteInterface) -> None:
    script = f"""
import resource
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import DatabaseError
db = SQLiteInterface({db.url!r})
db._insert("c", [{{"_id": 1}}])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for content in ({{"text": "x" * 1_000_000}},):
    try:
        db._insert("c", [content])
    except DatabaseError as error:
        print(error)
try:
    db._put([bytes(1_000_000)])
except DatabaseError as error:
    print(error)
db._insert("c", [{{"_id": 2}}])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("free space") == 2
    assert [each["_id"] for each in db._find("c", {})] == [1, 2]
    assert [each.name for each in db._packs.folder.iterdir()] == []


def test_forked_child_and_parent_both_write(db: SQLiteInterface) -> None:
    db._insert("c", [{"_id": 1}])
    assert in_child(lambda: db._insert("c", [{"_id": 2}])) == 0
    db._insert("c", [{"_id": 3}])
    assert [each["_id"] for each in db._find("c", {})] == [1, 2, 3]


def test_child_forked_within_a_transaction_is_refused(db: SQLiteInterface) -> None:
    def work() -> int:
        with pytest.raises(DatabaseError, match="fork outside of transactions"):
            db._count("c", {})
        return 0

    with db._transaction():
        assert in_child(work) == 0
        db._insert("c", [{"_id": 1}])
    assert db._count("c", {}) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_fork_does_not_wait_for_ever_for_a_busy_thread(
    db: SQLiteInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptutils.db.sqlite.store._FORK_PATIENCE_S", 0.05)
    is_held, is_forked = threading.Event(), threading.Event()

    def hold() -> None:
        with db._transaction():
            is_held.set()
            is_forked.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    assert in_child(lambda: 0) == 0
    is_forked.set()
    thread.join()
    db._insert("c", [{"_id": 1}])
    assert db._count("c", {}) == 1


def test_transaction_that_sqlite_undid_takes_nothing_more(db: SQLiteInterface) -> None:
    def fill_and_go_on() -> None:
        with db._transaction():
            db._store._connection.execute("ROLLBACK")
            db._insert("c", [{}])

    with pytest.raises(DatabaseError, match="one that was undone"):
        fill_and_go_on()
    assert db._count("c", {}) == 0


def test_lock_that_is_held_too_long_is_an_error(
    db: SQLiteInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptutils.db.sqlite.store._PATIENCE_S", 0.05)
    other = SQLiteInterface(db.url)
    expected = pytest.raises(UnavailableError, match="end the process that holds it")
    with db._transaction(), expected:
        other._insert("c", [{}])
    other.close()


def test_processes_count_together(db: SQLiteInterface) -> None:
    script = f"""
from ptutils.db.sqlite.interface import SQLiteInterface
db = SQLiteInterface({db.url!r})
for _ in range(25):
    db._update("c", {{"_id": 1}}, {{"$inc": {{"n": 1}}}}, upsert=True)
    db.close()
"""
    children = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    assert db._find("c", {}) == [{"_id": 1, "n": 100}]


def test_defaults_index_runs(db: SQLiteInterface) -> None:
    db._insert("runs", [{"_id": i, "summary": {"a": {"max": i}}} for i in range(50)])
    seen = statements(db)
    found = db._find("runs", {}, sort=[("summary.a.max", -1)], limit=2)
    assert [each["_id"] for each in found] == [49, 48]
    assert sum("SELECT text" in each for each in seen) == 2


def test_created_index_holds_old_and_new_documents(db: SQLiteInterface) -> None:
    db._insert("c", [{"_id": i, "a": {"b": i}} for i in range(30)])
    db.create_index("c", "a.b")
    db._insert("c", [{"_id": i, "a": {"b": i}} for i in range(30, 60)])
    db._update("c", {"_id": 3}, {"$set": {"a.b": 100}})
    db._delete("c", {"_id": 59})
    seen = statements(db)
    found = db._find("c", {"a.b": {"$gt": 10}}, sort=[("a.b", -1)], limit=2)
    assert [each["_id"] for each in found] == [3, 58]
    assert sum("SELECT text" in each for each in seen) == 2


def test_index_created_twice_is_one(db: SQLiteInterface) -> None:
    db.create_index("c", "a")
    db.create_index("c", "a")
    db._insert("c", [{"_id": 1, "a": 1}])
    assert db._find("c", {"a": 1}) == [{"_id": 1, "a": 1}]


def test_wrong_path_of_an_index_is_refused(db: SQLiteInterface) -> None:
    with pytest.raises(QueryError, match="cannot use this path in an index"):
        db.create_index("c", "a..b")


def test_index_of_another_process_is_kept_up(db: SQLiteInterface) -> None:
    db._insert("c", [{"_id": 1, "a": 1}])
    with SQLiteInterface(db.url) as other:
        other.create_index("c", "a")
    db._insert("c", [{"_id": 2, "a": 2}])
    assert [each["_id"] for each in db._find("c", {"a": 2})] == [2]


def test_put_writes_again_what_lost_its_pack(db: SQLiteInterface) -> None:
    (digest,) = db._put([b"a" * 100])
    for pack in db._packs.folder.iterdir():
        pack.unlink()
    db._put([b"a" * 100])
    assert bytes(db._get(digest)) == b"a" * 100
