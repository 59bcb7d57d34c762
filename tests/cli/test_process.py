"""The command as a process: what it loads, and how it stops."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pexpect

from tests.cli.conftest import CONFIG, Command, Kept
from tests.terminal import Terminal, unstyled

LONG = "schedule.duration=100000 steps"


def test_listing_runs_loads_no_torch(command: Command, tmp_path: Path) -> None:
    command("run", "tiny.yaml")
    program = (
        "import sys; from ptutils.cli.main import main; sys.argv = ['ptutils', 'ls']\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.splitlines()[-1].split())

    assert "sqlite3" in loaded
    assert not loaded & {"torch", "numpy", "pandas", "pymongo", "matplotlib", "rich"}


def test_progress_can_be_turned_off(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    program = terminal("-m", "ptutils.cli", "run", "tiny.yaml", "progress=false")
    program.expect(pexpect.EOF)

    assert program.before.startswith("run ")


def test_ctrl_c_saves_and_says_how_to_go_on(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    program = terminal("-m", "ptutils.cli", "run", "tiny.yaml", LONG)
    program.expect("train.loss")
    program.sendintr()
    program.expect(pexpect.EOF)
    program.close()
    said = re.search(r"is saved; go on with: ptutils (.*)", unstyled(program.before))

    assert program.exitstatus == 130
    assert said, program.before
    words = said[1].split()
    again = terminal("-m", "ptutils.cli", *words, "schedule.duration=1 epoch")
    again.expect("completed after")


def test_sigterm_saves_and_exits_as_usual(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    program = terminal("-m", "ptutils.cli", "run", "tiny.yaml", LONG)
    program.expect("train.loss")
    program.kill(signal.SIGTERM)
    program.expect("is saved; go on with")
    program.expect(pexpect.EOF)
    program.close()

    assert program.exitstatus == 128 + signal.SIGTERM


def test_narrow_terminal_names_the_columns_it_has_no_room_for(
    kept: Kept, terminal: Terminal
) -> None:
    kept()
    program = terminal("-m", "ptutils.cli", "ls", columns=50)
    program.expect(pexpect.EOF)
    lines = unstyled(program.before).splitlines()

    assert all(len(line) <= 50 for line in lines)
    assert lines[-1].rstrip() == "not shown for want of room: age, loss.min, tags"
