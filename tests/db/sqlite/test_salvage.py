"""Damaged SQLite files: what is wrong is said, and what can be read comes back."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import ptutils
from ptutils.core.hooks import Fault
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import CorruptError, DatabaseError, PtutilsError
from tests.core.experiment import config

PAGE = 4096


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SQLiteInterface]:
    with SQLiteInterface(str(tmp_path / "runs.db")) as db:
        yield db


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of several runs, some resumed and branched, and documents."""
    folder = tmp_path_factory.mktemp("real")
    url = str(folder / "runs.db")
    for seed in range(4):
        settings = config(
            seed=seed, dbinterface={"class": "SQLiteInterface", "path": url}
        )
        run = ptutils.Session.from_meta(config=settings).run()
    assert run is not None
    run.resume({"schedule.duration": "4 epochs"}).run()
    run.branch({"trainer.model.optimizer.lr": 0.01}, step=3).run()
    with SQLiteInterface(url) as db:
        for number in range(40):
            db.save({"_id": number, "array": np.arange(300.0), "text": "x" * number})
        db.save({"long": "y" * 50_000})
    return folder


@pytest.fixture
def copy(real: Path, tmp_path: Path) -> Path:
    """The path of a copy of it, to be damaged."""
    shutil.copytree(real, tmp_path / "copy")
    path = tmp_path / "copy" / "runs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


Loaded = dict[str, tuple[list[str], list[int]]]


def load(path: Path) -> Loaded:
    """Return the digests of all checkpoints, and the steps of History, by run."""
    loaded: Loaded = {}
    with SQLiteInterface(str(path)) as db:
        for run in db.runs.find():
            digests = []
            for checkpoint in run.checkpoints:
                assert checkpoint.state.trainer.state.step == checkpoint.step
                digests.append(checkpoint.digest)
            history = run.history
            steps = history["train.loss"].steps if "train.loss" in history else ()
            loaded[run.id] = digests, list(steps)
    return loaded


def kept(path: Path) -> list[Path]:
    return sorted(path.parent.glob("runs.db.damaged-*"))


def repair(path: Path) -> list[Fault]:
    with SQLiteInterface(str(path)) as db:
        return db.verify(repair=True)


def test_whole_database_has_no_faults_and_is_left_alone(copy: Path) -> None:
    before = copy.read_bytes()
    with SQLiteInterface(str(copy)) as db:
        assert db.verify() == []
        assert db.verify(repair=True) == []
    assert copy.read_bytes() == before
    assert kept(copy) == []


def damage_page(path: Path, number: int) -> None:
    content = bytearray(path.read_bytes())
    start = (number - 1) * PAGE
    content[start : start + PAGE] = bytes(random.Random(number).randbytes(PAGE))  # noqa: S311
    path.write_bytes(content)


def pages_of(path: Path, name: str) -> list[int]:
    """Return the pages of a table or index, the root first."""
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)
        ).fetchone()
    return [root]


def collection_number(path: Path, name: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (number,) = connection.execute(
            "SELECT id FROM collections WHERE name = ?", (name,)
        ).fetchone()
    return int(number)


@pytest.mark.parametrize("collection", ["checkpoints", "history", "documents"])
def test_rows_below_a_damaged_root_come_back(copy: Path, collection: str) -> None:
    before = load(copy)
    number = collection_number(copy, collection)
    damage_page(copy, pages_of(copy, f"documents_{number}")[0])
    with SQLiteInterface(str(copy)) as db:
        with pytest.raises(CorruptError, match="ptutils verify --repair"):
            db.find(collection=collection)
        (fault, *_) = db.verify()
        assert (fault.where, fault.is_repaired) == (str(copy), False)
        assert db._count("runs", {}) == len(before)
    (fault, *rest) = repair(copy)
    assert fault.is_repaired
    assert rest == []
    assert load(copy) == before
    (damaged,) = kept(copy)
    assert damaged.name in fault.affects
    with SQLiteInterface(str(copy)) as db:
        assert db.verify() == []


@pytest.mark.parametrize("table", ["collections", "paths", "artifacts", "indexes"])
def test_everything_comes_back_without_one_of_our_tables(
    copy: Path, table: str
) -> None:
    before = load(copy)
    damage_page(copy, pages_of(copy, table)[0])
    faults = repair(copy)
    assert faults[0].is_repaired
    assert load(copy) == before
    with SQLiteInterface(str(copy)) as db:
        assert len(db.find({"array": {"$exists": True}})) == 40


def test_damaged_first_page_takes_nothing_with_it(copy: Path) -> None:
    before = load(copy)
    content = bytearray(copy.read_bytes())
    content[:64] = b"\xa5" * 64
    copy.write_bytes(content)
    with pytest.raises(CorruptError, match="ptutils verify --repair"):
        load(copy)
    assert repair(copy)[0].is_repaired
    assert load(copy) == before


def is_as_before(path: Path, before: Loaded) -> bool:
    try:
        return load(path) == before
    except PtutilsError:
        return False


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_are_noticed_and_take_little_with_them(
    copy: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    before = load(copy)
    content = bytearray(copy.read_bytes())
    for _ in range(1 + seed % 3):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    copy.write_bytes(content)

    with SQLiteInterface(str(copy)) as db:
        try:
            faults = db.verify()
        except DatabaseError as error:
            faults = [Fault(where="", what=str(error))]
    assert faults or is_as_before(copy, before)

    repair(copy)
    after = load(copy)
    lost = [
        run_id
        for run_id in before
        if run_id not in after or not set(before[run_id][0]) <= set(after[run_id][0])
    ]
    assert len(lost) <= 1 + seed % 3
    for run_id, (digests, steps) in after.items():
        assert set(digests) <= set(before[run_id][0])
        assert set(steps) <= set(before[run_id][1])
    for run_id in before.keys() - lost:
        assert after[run_id][0] == before[run_id][0]


def test_index_that_lost_a_row_is_found_and_mended(copy: Path) -> None:
    before = load(copy)
    number = collection_number(copy, "history")
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(
            f"DELETE FROM keys_{number} WHERE place IN (SELECT place FROM "  # noqa: S608
            f"documents_{number} ORDER BY place LIMIT 3 OFFSET 5)"
        )
        connection.commit()
    assert load(copy) != before
    with SQLiteInterface(str(copy)) as db:
        (fault, *_) = db.verify()
        assert fault.where == "index of collection 'history'"
        assert not fault.is_repaired
    (fault,) = repair(copy)
    assert fault.is_repaired
    assert load(copy) == before
    assert repair(copy) == []


@pytest.mark.parametrize(
    "damage",
    [
        "INSERT INTO keys_1 SELECT path, x'3131', place FROM keys_1 LIMIT 1",
        "INSERT INTO keys_1 SELECT path, key, 99 FROM keys_1 LIMIT 1",
        "UPDATE collections SET count = count + 1",
        "UPDATE paths SET count = count + 1",
        "UPDATE documents_1 SET id = x'00' WHERE place = 2",
    ],
)
def test_index_that_says_too_much_is_found_and_mended(
    db: SQLiteInterface, damage: str
) -> None:
    documents = [{"_id": f"r{i}", "experiment": "e", "created": i} for i in range(9)]
    db._insert("runs", documents)
    with db._store.writing() as connection:
        connection.execute(damage)
    assert [fault.is_repaired for fault in db._inspect()] == [False]
    assert [fault.is_repaired for fault in db._inspect(repair=True)] == [True]
    assert list(db._inspect()) == []
    assert db._count("runs", {}) == 9
    assert db._find("runs", {"_id": "r1"}) == [documents[1]]
    assert db._find("runs", {"created": 5}) == [documents[5]]


@pytest.mark.parametrize("text", ["'{'", "CAST(x'7bff7d' AS TEXT)"])
def test_document_that_is_none_any_more_is_set_aside(
    db: SQLiteInterface, text: str
) -> None:
    db._insert("c", [{"_id": number} for number in (0, "1", 2, 3, 4)])
    with db._store.writing() as connection:
        connection.execute(f"UPDATE documents_1 SET text = {text} WHERE place = 2")  # noqa: S608
    with pytest.raises(CorruptError, match="verify --repair"):
        db._find("c", {})
    assert db._find("c", {"_id": 3}) == [{"_id": 3}]
    (fault, *_) = db.verify()
    assert fault.where == "c.1"
    (fault,) = db.verify(repair=True)
    assert fault.is_repaired
    assert [each["_id"] for each in db._find("c", {})] == [0, 2, 3, 4]
    (aside,) = db._find("damaged", {})
    assert aside["collection"] == "c"
    assert db.verify() == []


def test_damaged_document_without_a_name_has_a_number(db: SQLiteInterface) -> None:
    db._insert("c", [{"_id": 7.5}])
    with db._store.writing() as connection:
        connection.execute("UPDATE documents_1 SET text = ''")
    assert [fault.where for fault in db._inspect()] == ["c.number 1"]


def test_repair_refuses_while_another_process_has_the_file_open(copy: Path) -> None:
    script = """
import sys
from ptutils.db.sqlite.interface import SQLiteInterface
db = SQLiteInterface(sys.argv[1])
db._count("runs", {})
print("open", flush=True)
sys.stdin.readline()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(copy)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    damage_page(copy, pages_of(copy, "documents_1")[0])
    before = copy.read_bytes()
    with pytest.raises(DatabaseError, match="another process, or"):
        repair(copy)
    child.communicate(b"\n")
    assert copy.read_bytes() == before
    assert repair(copy)[0].is_repaired


def test_file_in_which_nothing_can_be_read_is_left_as_it_is(
    db: SQLiteInterface,
) -> None:
    db._insert("c", [{"_id": 1}])
    db.close()
    path = Path(db.url)
    content = path.read_bytes()
    path.write_bytes(content[:PAGE] + b"\xa5" * (len(content) - PAGE))
    before = path.read_bytes()
    with pytest.raises(CorruptError, match="restore it from a copy"):
        db.verify(repair=True)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["runs.db"]


def test_mended_database_keeps_its_rights(copy: Path) -> None:
    copy.chmod(0o640)
    damage_page(copy, pages_of(copy, "documents_1")[0])
    repair(copy)
    assert copy.stat().st_mode & 0o777 == 0o640


def test_salvage_of_the_earlier_format_is_migrated(tmp_path: Path) -> None:
    sample = Path(__file__).parent.parent / "samples" / "format-1"
    shutil.copytree(sample, tmp_path / "sample")
    path = tmp_path / "sample" / "runs.db"
    damage_page(path, pages_of(path, "paths")[0])
    repair(path)
    with SQLiteInterface(str(path)) as db:
        assert {run.document["format"] for run in db.runs.find()} == {2}
        assert db.verify() == []
