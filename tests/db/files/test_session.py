"""A real Session writes the folder, is killed, and goes on to the same bits."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ptutils.core.session import Session
from ptutils.db.connect import connect
from ptutils.db.files.interface import FileInterface
from ptutils.db.memory import MemoryInterface
from tests.core.experiment import config

_STEPS = 30

SCRIPT = """
import sys
from ptutils.core.session import Session
from tests.core.experiment import config

folder = {"class": "FileInterface", "folder": sys.argv[1]}
changed = config(dbinterface=folder, schedule__duration=sys.argv[2])
Session.from_meta(config=changed).run()
"""


def _digests(db: FileInterface | MemoryInterface) -> dict[int, str]:
    (run,) = db.runs.find()
    return {each.step: each.digest for each in run.checkpoints}


@pytest.fixture(scope="module")
def uninterrupted() -> dict[int, str]:
    session = Session.from_meta(config=config(schedule__duration=f"{_STEPS} steps"))
    session.run()
    return _digests(session.dbinterface)


def test_killed_run_resumes_to_the_same_bits(
    tmp_path: Path, uninterrupted: dict[int, str]
) -> None:
    folder = tmp_path / "lab"
    child = subprocess.Popen([sys.executable, "-c", SCRIPT, folder, f"{_STEPS} steps"])
    while not list(folder.glob("runs/*/checkpoints/00000003.*.json")):
        assert child.poll() is None
        time.sleep(0.001)
    child.kill()
    assert child.wait() == -9
    (run,) = FileInterface(str(folder)).runs.find()
    assert run.status.phase == "lost"
    run.resume().run()
    db = FileInterface(str(folder))
    (run,) = db.runs.find()
    assert run.status.phase == "completed"
    assert _digests(db) == uninterrupted
    assert list(run.history["train.loss"].steps) == [*range(1, _STEPS + 1)]
    assert [fault.what for fault in db._inspect()] == []


def test_url_opens_the_folder(tmp_path: Path) -> None:
    db = connect(f"files:{tmp_path / 'lab'}")
    assert isinstance(db, FileInterface)
    assert db.url == f"files:{tmp_path / 'lab'}"
