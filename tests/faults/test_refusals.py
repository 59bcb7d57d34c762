"""What the system refuses is one clear block that names the file; nothing is lost."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ptutils
from tests import test_faults
from tests.cli import conftest as cli
from tests.cli.conftest import Command, Done, run_id
from tests.faults.series import num_steps
from tests.test_faults import assert_is_one_clear_block, files_in, read_only

command = cli.command
disk = test_faults.disk

SHORT = "schedule.duration=2 steps"


@contextlib.contextmanager
def locked(db: str) -> Iterator[None]:
    """Hold the lock for writing, as another process that hangs does."""
    if not db.startswith("files:"):
        with contextlib.closing(sqlite3.connect(db)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        return
    with Path(db.removeprefix("files:"), ".lock").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("db", ["runs.db", "files:runs"])
def test_locked_database_is_waited_for_and_then_named(
    command: Command, monkeypatch: pytest.MonkeyPatch, db: str
) -> None:
    monkeypatch.setattr("ptutils.db.sqlite.store._PATIENCE_S", 0.2)
    monkeypatch.setattr("ptutils.db.files.lock._PATIENCE_S", 0.2)
    first = run_id(command("run", "tiny.yaml", SHORT, "--db", db).out)
    with locked(db):
        refused = command("run", "tiny.yaml", SHORT, "--db", db)
    assert_is_one_clear_block(refused, "UnavailableError", "runs", "another process")
    assert first in command("ls", "--db", db).out
    longer = "schedule.duration=3 steps"
    assert command("resume", first, longer, "--db", db).code == 0


def test_folder_that_may_not_be_written_is_named(
    command: Command, tmp_path: Path
) -> None:
    first = run_id(command("run", "tiny.yaml", SHORT, "--db", "files:runs").out)
    before = files_in(tmp_path)
    with read_only(tmp_path):
        assert first in command("ls", "--db", "files:runs").out
        assert command("verify", "--db", "files:runs").code == 0
        refused = command("run", "tiny.yaml", SHORT, "--db", "files:runs")
        new = command("run", "tiny.yaml", SHORT, "--db", "files:others")
    assert_is_one_clear_block(refused, "DatabaseError", "runs", "permissions")
    assert_is_one_clear_block(new, "DatabaseError", "others", "permissions")
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("db", ["runs.db", "files:runs"])
@pytest.mark.parametrize("words", [["ls"], ["run", "tiny.yaml"], ["verify"]])
def test_database_that_may_not_be_read_is_named(
    command: Command, tmp_path: Path, db: str, words: list[str]
) -> None:
    command("run", "tiny.yaml", SHORT, "--db", db)
    path = tmp_path / db.removeprefix("files:")
    mode = path.stat().st_mode
    path.chmod(0)
    refused = without_privileges(tmp_path, *words, "--db", db)
    path.chmod(mode)
    assert_is_one_clear_block(refused, "DatabaseError", path.name)
    assert re.search("permission|writable", refused.err)


def without_privileges(folder: Path, *words: str) -> Done:
    """Run the command as somebody to whom permissions apply, which root is not."""
    prefix = []
    if os.geteuid() == 0:
        program = shutil.which("setpriv")
        if program is None:
            pytest.skip("root obeys permissions under setpriv only")
        prefix = [program, "--bounding-set", "-dac_override,-dac_read_search"]
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "ptutils.cli", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)


def test_folder_on_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(
    command: Command, disk: Path
) -> None:
    url = f"files:{disk / 'runs'}"
    many = ("schedule.checkpoint=1 step", "schedule.duration=9000 steps")
    full = command("run", "tiny.yaml", *many, "--db", url)
    assert_is_one_clear_block(full, "DatabaseError", str(disk), "space")
    with ptutils.connect(url) as db:
        (run,) = db.runs.find()
        steps = [each.state.trainer.state.step for each in run.checkpoints]
        assert num_steps(run) >= max(steps)
    (disk / "filler").unlink()
    end = f"schedule.duration={max(steps) + 3} steps"
    seldom = "schedule.checkpoint=100 epochs"
    assert command("resume", run.id, end, seldom, "--db", url).code == 0
    assert command("verify", "--db", url).code == 0
