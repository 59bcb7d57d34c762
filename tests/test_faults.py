"""What goes wrong outside is said in one block that helps, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ptutils
from ptutils.core.callback import Callback
from ptutils.core.records.run import Run
from ptutils.core.session import Session
from ptutils.db.memory import MemoryInterface
from ptutils.errors import DatabaseError
from tests.cli import conftest as cli
from tests.cli.conftest import CONFIG, Command, Done
from tests.core.experiment import config

command = cli.command

MIB = 1 << 20
DEEP = CONFIG.replace(
    "        - {class: torch.nn.Linear, in_features: 64, out_features: 10}\n",
    "        - {class: torch.nn.Linear, in_features: 64, out_features: 4096}\n"
    "        - {class: torch.nn.Linear, in_features: 4096, out_features: 10}\n",
)
"""Its State is larger than 1 MiB, so that each checkpoint goes into a pack."""


def assert_is_one_clear_block(done: Done, error: str, *parts: str) -> None:
    """Check STYLE's form: what, then expected, got and fix, and at most one note."""
    assert done.code == 1
    assert "Traceback" not in done.err
    block = done.err[done.err.index(f"{error}: ") :]
    what, *rest = block.splitlines()
    if rest[-1].startswith(("its traceback: ", "the database does not know of this: ")):
        rest.pop()
    assert what.startswith(f"{error}: cannot ") or "no run" in what or "unknown" in what
    assert all(re.match(r"  (expected|got|fix): +\S", line) for line in rest)
    assert [line.split(":")[0].strip() for line in rest] == ["expected", "got", "fix"]
    for part in parts:
        assert part in block, block


def files_in(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def losses(run: Run) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in run.history["train.loss"]]


def only_run(url: str | Path) -> Run:
    (run,) = ptutils.connect(str(url), create=False).runs.find()
    return run


def digest_of(run: Run) -> str:
    newest = run.newest()
    assert newest is not None
    return newest.digest


def in_process(folder: Path, *words: str, file_bytes: int = -1) -> Done:
    """Run the command as a process of its own, whose files cannot grow for ever."""
    program = (
        "import resource; from ptutils.cli.main import main\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({file_bytes}, {file_bytes}))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)


def mount(*words: str) -> None:
    """Mount a file system, or skip the test where that is not permitted."""
    program = shutil.which("mount")
    if program is None or os.geteuid() != 0:
        pytest.skip("only root may mount")
    done = subprocess.run([program, *words], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not permitted: {done.stderr!r}")


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder read-only, for root too, while the block runs."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(0o755)
        return
    mount("--bind", str(folder), str(folder))
    try:
        mount("-o", "remount,ro,bind", str(folder))
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB, of which ``filler`` takes one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder))
    (folder / "filler").write_bytes(bytes(MIB))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607


# Configs


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("schedule.duratoin=1 epoch", "duration"),
        ("trainer.model.optimizer.lrr=1", "lr"),
        ("sed=1", "'seed'"),
    ],
)
def test_mistyped_override_names_the_nearest_key(
    command: Command, tmp_path: Path, wrong: str, right: str
) -> None:
    before = files_in(tmp_path)
    done = command("run", "tiny.yaml", wrong)
    assert_is_one_clear_block(done, "ConfigError", wrong.partition("=")[0], right)
    assert files_in(tmp_path) == before


def test_all_mistyped_keys_of_a_file_are_told_at_once(
    command: Command, tmp_path: Path
) -> None:
    wrong = CONFIG.replace("experiment:", "experimant:").replace("lr: 0.1", "rl: 0.1")
    (tmp_path / "wrong.yaml").write_text(wrong.replace("torch.nn.Lin", "torch.nn.Lim"))
    before = files_in(tmp_path)
    done = command("run", "wrong.yaml")
    assert done.code == 1
    assert "Traceback" not in done.err
    for part in ("experimant", "'experiment'", "optimizer.rl", "torch.nn.Limear"):
        assert part in done.err
    assert files_in(tmp_path) == before


def test_missing_config_file_is_named(command: Command, tmp_path: Path) -> None:
    before = files_in(tmp_path)
    done = command("run", "tyni.yaml")
    assert_is_one_clear_block(done, "ConfigError", "tyni.yaml")
    assert files_in(tmp_path) == before


def test_config_file_that_is_no_yaml_is_named(command: Command, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("class: [Session\n")
    done = command("run", "broken.yaml")
    assert_is_one_clear_block(done, "ConfigError", "broken.yaml")


# Databases


@pytest.mark.parametrize("verb", ["show", "resume"])
def test_run_that_does_not_exist_is_named(command: Command, verb: str) -> None:
    command("run", "tiny.yaml", "schedule.duration=1 step")
    done = command(verb, "0zz")
    assert_is_one_clear_block(done, "NotFoundError", "'0zz'", "ptutils ls")
    assert command("ls").out.count("\n") == 2


def text_file(path: Path) -> None:
    path.write_text("These are my notes, and no database at all.\n" * 100)


def foreign_file(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.commit()


def folder(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("mine")


@pytest.mark.parametrize("make", [text_file, foreign_file, folder])
@pytest.mark.parametrize("words", [["ls"], ["show", "0"], ["run", "tiny.yaml"]])
def test_database_that_is_none_is_refused_and_left_alone(
    command: Command, tmp_path: Path, make: Callable[[Path], None], words: list[str]
) -> None:
    make(tmp_path / "runs.db")
    before = files_in(tmp_path)
    done = command(*words)
    assert_is_one_clear_block(done, "DatabaseError", "runs.db", "a SQLite file")
    assert files_in(tmp_path) == before


def test_damaged_database_is_an_error_that_says_how_to_rescue_it(
    command: Command, tmp_path: Path
) -> None:
    command("run", "tiny.yaml", "schedule.duration=1 step")
    path = tmp_path / "runs.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))
    done = command("ls")
    assert_is_one_clear_block(done, "CorruptError", "runs.db", "verify --repair")
    path.write_bytes(content)
    assert command("ls").code == 0


def test_run_in_a_read_only_folder_is_an_error_and_leaves_nothing(
    command: Command, tmp_path: Path
) -> None:
    before = files_in(tmp_path)
    with read_only(tmp_path):
        done = command("run", "tiny.yaml")
    assert_is_one_clear_block(done, "DatabaseError", "runs.db", "permissions")
    assert files_in(tmp_path) == before


def test_read_only_database_can_be_read_and_refuses_runs(
    command: Command, tmp_path: Path
) -> None:
    command("run", "tiny.yaml", "schedule.duration=2 steps")
    run = only_run(tmp_path / "runs.db")
    before = files_in(tmp_path)
    with read_only(tmp_path):
        assert run.id in command("ls").out
        assert "train.loss" in command("show", run.id).out
        resumed = command("resume", run.id, "schedule.duration=3 steps")
        fresh = command("run", "tiny.yaml")
    for done in (resumed, fresh):
        assert_is_one_clear_block(done, "DatabaseError", "runs.db", "read-only")
    assert files_in(tmp_path) == before
    assert command("resume", run.id, "schedule.duration=3 steps").code == 0


# Full disks


def test_database_cannot_be_made_on_a_full_disk_and_can_when_there_is_room(
    command: Command, disk: Path
) -> None:
    with contextlib.suppress(OSError), (disk / "more").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    url = str(disk / "runs.db")
    done = command("run", "tiny.yaml", "--db", url)
    assert_is_one_clear_block(done, "DatabaseError", "runs.db", "free space")
    (disk / "more").unlink()
    assert (
        command("run", "tiny.yaml", "--db", url, "schedule.duration=1 step").code == 0
    )


@pytest.mark.parametrize("text", [CONFIG, DEEP])
def test_run_that_fills_the_disk_goes_on_when_there_is_room(
    command: Command, disk: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "it.yaml").write_text(text)
    url = str(disk / "runs.db")
    every = ("schedule.checkpoint=1 step", "schedule.duration=9000 steps")
    done = in_process(tmp_path, "run", "it.yaml", *every, "--db", url)
    assert_is_one_clear_block(done, "DatabaseError", str(disk), "free space")
    assert re.search(r"its traceback: ptutils show|does not know of this", done.err)
    listed = command("ls", "--db", url).out  # With the disk still full.
    assert re.search(r"\t(lost|failed)\t", listed)
    (disk / "filler").unlink()
    goes_on_as_if_nothing_had_happened(tmp_path, url)


def test_run_whose_files_cannot_grow_goes_on_when_they_can(tmp_path: Path) -> None:
    (tmp_path / "it.yaml").write_text(CONFIG)
    every = ("schedule.checkpoint=1 step", "schedule.duration=3000 steps")
    done = in_process(tmp_path, "run", "it.yaml", *every, file_bytes=MIB // 2)
    assert_is_one_clear_block(done, "DatabaseError", str(tmp_path), "free space")
    goes_on_as_if_nothing_had_happened(tmp_path, str(tmp_path / "runs.db"))


def goes_on_as_if_nothing_had_happened(folder: Path, url: str) -> None:
    """Check that all that was saved is there, and resume to the same bits."""
    run = only_run(url)
    steps = [step for step, _ in losses(run)]
    newest = run.newest()
    assert newest is not None
    assert run.status.phase in ("lost", "failed")
    assert steps == list(range(1, len(steps) + 1))
    assert [each.state.trainer.state.step for each in run.checkpoints][
        -1
    ] == newest.step
    assert len(steps) >= newest.step
    end = f"schedule.duration={newest.step + 5} steps"
    seldom = "schedule.checkpoint=100 epochs"
    assert in_process(folder, "resume", run.id, end, seldom, "--db", url).code == 0
    whole = in_process(folder, "run", "it.yaml", end, seldom, "--db", "whole.db")
    assert whole.code == 0
    resumed, expected = run.refresh(), only_run(folder / "whole.db")
    assert resumed.status.phase == "completed"
    assert losses(resumed) == losses(expected)
    assert digest_of(resumed) == digest_of(expected)


class Failing(MemoryInterface):
    """Cannot be written, once that is said."""

    is_down = False

    def _update(self, *which: Any, **how: Any) -> int:
        if self.is_down:
            raise DatabaseError("cannot use this database", got="no answer")
        return super()._update(*which, **how)


class Break(Callback):
    """Takes the database away at one step."""

    def end_of_training_step(self, step: int, session: Any) -> None:
        if step == 8:
            session.dbinterface.is_down = True


def test_session_whose_database_failed_goes_on_at_once_when_it_is_back() -> None:
    whole = Session.from_meta(config=config()).run()
    session = Session.from_meta(config=config())
    session.dbinterface = Failing()
    session.trainer.register_callback(Break())
    with pytest.raises(DatabaseError, match="no answer") as failed:
        session.run()
    assert "the database does not know of this" in failed.value.__notes__[0]
    session.dbinterface.is_down = False
    session.trainer.callbacks.unregister("break")
    run = session.run()
    assert whole is not None
    assert run is not None
    assert losses(run) == losses(whole)
    assert digest_of(run) == digest_of(whole)


# Damaged packs


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_damaged_pack_is_named_with_its_checkpoint_and_the_rest_is_there(
    command: Command, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    (tmp_path / "deep.yaml").write_text(DEEP)
    every = ("schedule.checkpoint=1 step", "schedule.duration=2 steps")
    assert command("run", "deep.yaml", *every).code == 0
    run = only_run(tmp_path / "runs.db")
    folder = tmp_path / "runs.db.artifacts"
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    shutil.copy2(newest, tmp_path / "copy")
    damage(newest)
    before = files_in(tmp_path)

    done = command("resume", run.id, "schedule.duration=4 steps")

    assert_is_one_clear_block(done, "CorruptError", run.id, newest.name, "restore")
    assert only_run(tmp_path / "runs.db").document == run.document
    assert command("show", run.id).code == 0
    assert files_in(folder) == {
        name.removeprefix("runs.db.artifacts/"): content
        for name, content in before.items()
        if name.startswith("runs.db.artifacts/")
    }
    assert run.resume(step=1).trainer.step == 1  # An earlier checkpoint loads.
    newest.unlink(missing_ok=True)
    (tmp_path / "copy").rename(newest)
    assert command("resume", run.id, "schedule.duration=4 steps").code == 0
