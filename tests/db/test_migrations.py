"""Databases of earlier formats open and hold what they held; later are refused."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptutils
from ptutils.core.records.writing import recorder
from ptutils.db.migrations import FORMAT
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import DatabaseError
from tests.test_faults import read_only

SAMPLE = Path(__file__).parent / "samples" / "format-1"
NEWEST = {
    "dc0pznjmc6z": "8852a0e9d83e75ac74e2cc0494664081caea38d5f527a45cf04d685e76da668c",
    "dc0pznh9715": "2be7f712aec8d9feffadf616f58adddecf6faf68944e116dff69e54532ab9114",
}


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A database of format 1, to be changed."""
    shutil.copytree(SAMPLE, tmp_path / "sample")
    return tmp_path / "sample" / "runs.db"


@pytest.fixture
def db(sample: Path) -> Iterator[SQLiteInterface]:
    with SQLiteInterface(str(sample)) as db:
        yield db


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def digests_of(db: SQLiteInterface) -> dict[str, str]:
    return {run.id: run.newest().digest for run in db.runs.find()}


def assert_holds_what_it_held(db: SQLiteInterface) -> None:
    assert digests_of(db) == NEWEST
    for run in db.runs.find():
        document: dict[str, Any] = run.document
        assert document["format"] == 2
        assert (document["archived"], document["request"]) == (False, None)
        assert document["faults"] == []
        assert run.newest().state.trainer.state.step == run.newest().step


def test_one_number_is_the_format_of_databases_and_of_runs() -> None:
    assert recorder.FORMAT == FORMAT


def test_runs_of_format_1_are_listed_with_their_checkpoints(
    db: SQLiteInterface, sample: Path
) -> None:
    assert_holds_what_it_held(db)
    db.close()
    assert version_of(sample) == FORMAT


def test_document_of_format_1_is_equal(db: SQLiteInterface) -> None:
    notes = db.load({})
    (array,) = (each for each in notes.values() if isinstance(each, np.ndarray))
    assert array.dtype == np.float64
    assert np.array_equal(array, np.arange(300))
    assert isinstance(notes["betas"], tuple)
    assert {"a.b", 1} < {
        name for each in notes.values() if isinstance(each, dict) for name in each
    } | set(notes)


def test_run_of_format_1_resumes(db: SQLiteInterface) -> None:
    run = db.runs.get("dc0pznjmc6z")
    resumed = run.resume({"schedule.duration": "5 epochs"}).run()
    assert resumed is not None
    assert resumed.status.phase == "completed"
    assert resumed.newest().epoch == 5


def test_artifacts_of_format_1_were_put_long_ago(db: SQLiteInterface) -> None:
    assert {stored.put.year for stored in db._stored().values()} == {1970}
    assert db._put([np.arange(300.0).tobytes()])[0] in db._stored()


def test_database_of_format_1_that_is_read_only_is_read(
    sample: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(sample)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = sample.read_bytes()
    with read_only(sample.parent), SQLiteInterface(str(sample)) as db:
        assert_holds_what_it_held(db)
        with pytest.raises(DatabaseError, match="read-only"):
            db.save({})
    assert sample.read_bytes() == before


OPEN = """
import sys
from ptutils.db.sqlite.interface import SQLiteInterface
with SQLiteInterface(sys.argv[1]) as db:
    sys.stdin.readline()
    print(db._count("runs", {"format": 2, "faults": []}))
"""


def test_processes_that_open_an_old_database_at_once_migrate_it_once(
    sample: Path,
) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(sample)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.communicate()[0] for child in children] == ["2\n"] * 4
    with SQLiteInterface(str(sample)) as db:
        assert_holds_what_it_held(db)


def test_migration_that_is_killed_in_between_is_done_by_the_next(
    sample: Path, db: SQLiteInterface
) -> None:
    child = os.fork()
    if child == 0:
        db._store._migrate = lambda version: os._exit(9)
        db._count("runs", {})
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert version_of(sample) == 1
    assert_holds_what_it_held(db)


def test_migration_that_fails_changes_nothing(
    sample: Path, db: SQLiteInterface
) -> None:
    def fail(version: int) -> None:
        raise ValueError(version)

    migrate, db._store._migrate = db._store._migrate, fail
    with pytest.raises(ValueError, match="1"):
        db._count("runs", {})
    assert version_of(sample) == 1
    db._store._migrate = migrate
    assert_holds_what_it_held(db)


def make_later(path: Path, *statements: str) -> DatabaseError:
    SQLiteInterface(str(path))._count("runs", {})
    with closing(sqlite3.connect(path)) as connection:
        for statement in (f"PRAGMA user_version = {FORMAT + 1}", *statements):
            connection.execute(statement)
        connection.commit()
    with pytest.raises(DatabaseError) as refused:
        ptutils.connect(str(path))._count("runs", {})
    return refused.value


def test_database_of_a_later_format_is_refused_with_what_to_install(
    sample: Path,
) -> None:
    error = make_later(sample, "UPDATE about SET value = 'ptutils>=7.5'")
    assert error.got == f"format {FORMAT + 1}"
    assert error.fix == "pip install -U 'ptutils>=7.5'"


def test_database_of_a_later_format_that_asks_for_nothing_is_refused(
    sample: Path,
) -> None:
    error = make_later(sample, "DROP TABLE about")
    assert error.fix == "pip install -U 'ptutils'"
