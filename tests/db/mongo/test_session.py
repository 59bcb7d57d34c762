"""A run on a real server: killed, resumed, listed, to the same end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ptutils
from ptutils.db.mongo.interface import MongoInterface
from tests.core.experiment import config

pytestmark = pytest.mark.mongo


def test_killed_run_ends_as_if_it_had_not_been(
    db: MongoInterface, tmp_path: Path
) -> None:
    whole = ptutils.Session.from_meta(config=config())
    whole.run()
    place = {"class": "MongoInterface", "url": db.url}
    (tmp_path / "run.json").write_text(json.dumps(config(dbinterface=place)))
    child = subprocess.Popen(
        [sys.executable, "-m", "ptutils.cli", "run", "run.json"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    while db._count("checkpoints", {}) < 3 and child.poll() is None:
        time.sleep(0.02)
    child.kill()
    child.wait()
    (run,) = db.runs.find()
    resumed = run.resume()
    resumed.run()
    ours, theirs = (list(each.history["train.loss"]) for each in (resumed, whole))
    assert ours == theirs
    assert db.runs.find()[0].status.phase == "completed"


def test_runs_of_a_server_are_listed(db: MongoInterface, tmp_path: Path) -> None:
    place = {"class": "MongoInterface", "url": db.url}
    ptutils.Session.from_meta(config=config(dbinterface=place)).run()
    listed = subprocess.run(
        [sys.executable, "-m", "ptutils.cli", "ls", "--db", db.url],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    )
    assert "completed" in listed.stdout
