"""Verifying, mending and cleaning where the disk or the rights stand in the way."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import DatabaseError
from tests import test_faults as faults
from tests.core.experiment import config

disk = faults.disk

ARRAY = np.arange(50_000.0)


def fill(folder: Path) -> None:
    """Leave no room on the file system of a folder."""
    with (
        contextlib.suppress(OSError),
        (folder / "more").open("wb", buffering=0) as file,
    ):
        while file.write(bytes(4096)):
            pass


def damage(path: Path) -> None:
    """Break the root of the table of documents."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'documents_1'"
        ).fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 100)


def write(path: Path, count: int = 300) -> None:
    with SQLiteInterface(str(path)) as db, db._transaction():
        for number in range(count):
            db.save({"_id": number, "text": f"{number}" * 300})


def test_disk_that_fills_while_mending_leaves_the_damaged_file_as_it_is(
    disk: Path,
) -> None:
    path = disk / "runs.db"
    write(path)
    damage(path)
    before = path.read_bytes()
    fill(disk)
    with SQLiteInterface(str(path)) as db:
        with pytest.raises(DatabaseError, match="free space"):
            db.verify(repair=True)
        assert path.read_bytes() == before
        assert not list(disk.glob("*.damaged-*"))
        assert not [each for each in disk.iterdir() if each.name.startswith(".runs")]
        (disk / "more").unlink()
        assert db.verify(repair=True)[0].is_repaired
        assert db._count("documents", {}) > 290


def test_cleaning_a_full_disk_makes_room(disk: Path) -> None:
    with SQLiteInterface(str(disk / "runs.db")) as db:
        kept = db.save({"array": ARRAY})
        gone = db.save({"array": ARRAY + 1})
        db.delete({"_id": gone})
        with db._store.writing() as connection:
            connection.execute("UPDATE artifacts SET put = 0")
        fill(disk)
        (disk / "filler").unlink()  # It takes a little room to say what is gone.
        assert db.gc().artifacts == 1
        assert np.array_equal(db.load(kept)["array"], ARRAY)


def test_read_only_database_is_verified_and_neither_mended_nor_cleaned(
    tmp_path: Path,
) -> None:
    path = tmp_path / "data" / "runs.db"
    path.parent.mkdir()
    with SQLiteInterface(str(path)) as db:
        db.save({"_id": 1, "array": ARRAY})
        with db._store.writing() as connection:
            connection.execute("UPDATE collections SET count = 7")
    with faults.read_only(path.parent), SQLiteInterface(str(path)) as db:
        assert [fault.is_repaired for fault in db.verify()] == [False]
        with pytest.raises(DatabaseError, match="read-only"):
            db.verify(repair=True)
        with pytest.raises(DatabaseError, match="read-only"):
            db.gc()


def test_damaged_file_that_may_not_be_written_is_not_mended(tmp_path: Path) -> None:
    path = tmp_path / "data" / "runs.db"
    path.parent.mkdir()
    write(path)
    damage(path)
    before = faults.files_in(path.parent)
    with faults.read_only(path.parent), SQLiteInterface(str(path)) as db:
        assert not db.verify()[0].is_repaired
        with pytest.raises(DatabaseError, match="read-only"):
            db.verify(repair=True)
    assert faults.files_in(path.parent) == before


def test_cleaning_waits_for_a_lock_and_says_who_could_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptutils.db.sqlite.store._PATIENCE_S", 0.05)
    path = str(tmp_path / "runs.db")
    is_held, is_done = threading.Event(), threading.Event()

    def hold() -> None:
        with SQLiteInterface(path) as db, db._transaction():
            is_held.set()
            is_done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    with SQLiteInterface(path) as db:
        with pytest.raises(DatabaseError, match="end the process that holds it"):
            db.gc()
        is_done.set()
        thread.join()
        assert db.gc().artifacts == 0


TRAINING = """
import ptutils
from ptutils.core.records.upkeep import garbage
from ptutils.core.records.writing import writer

garbage.GRACE_S = writer.GRACE_S = {grace_s}
ptutils.Session.from_meta(config={config}).run()
"""


def test_every_checkpoint_loads_of_a_run_that_trains_while_others_clean(
    tmp_path: Path,
) -> None:
    wide: list[dict[str, Any]] = [
        {"class": "torch.nn.Flatten"},
        {"class": "torch.nn.Linear", "in_features": 64, "out_features": 4096},
        {"class": "torch.nn.Linear", "in_features": 4096, "out_features": 10},
    ]
    path, told = str(tmp_path / "runs.db"), tmp_path / "told.txt"
    settings = config(
        dbinterface={"class": "SQLiteInterface", "path": path},
        trainer__model__net={"class": "torch.nn.Sequential", "args": wide},
        schedule__keep={"last": 2},
    )
    grace_s = 3.0  # For writer and cleaner alike: another would be unsafe.
    script = TRAINING.format(grace_s=grace_s, config=repr(dict(settings)))
    with told.open("wb") as errors:
        child = subprocess.Popen([sys.executable, "-c", script], stderr=errors)
    until, removed = time.monotonic() + 120, 0
    with SQLiteInterface(path) as db:
        while child.poll() is None and time.monotonic() < until:
            removed += db.gc(grace_s).artifacts
            time.sleep(0.05)  # Who cleans without a pause leaves others few moments.
        child.kill()  # If it hangs.
        assert (child.wait(), told.read_text()) == (0, "")
        (run,) = db.runs.find()
        assert run.status.phase == "completed"
        for checkpoint in run.checkpoints:
            assert checkpoint.state.trainer.state.step == checkpoint.step
        assert db.verify() == []
        removed += db.gc(0.0).artifacts
        assert db.verify() == []
    assert removed > 0
