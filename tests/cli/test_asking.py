"""A running run is told from another shell what to do."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Kept

LONG = "schedule.duration=1000000 steps"

Running = tuple[str, "subprocess.Popen[str]"]


@pytest.fixture
def running(command: Command, tmp_path: Path) -> Iterator[Running]:
    """Train in another process; give the run's id and the process."""
    words = ["-m", "ptutils.cli", "run", "tiny.yaml", LONG]
    with subprocess.Popen(
        [sys.executable, *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        while not (listed := command("ls", "summary.valid exists").out):
            time.sleep(0.1)
        yield listed.splitlines()[1].split("\t")[0], process
        process.kill()


def phase(command: Command, run: str) -> str:
    found = re.search(r"^  phase: (\w+)$", command("show", run).out, re.MULTILINE)
    assert found
    return found[1]


def test_running_run_is_saved_paused_resumed_and_stopped(
    command: Command, running: Running
) -> None:
    run, process = running

    assert command("checkpoint", run).out == f"run {run} saves a checkpoint\n"
    assert command("pause", run).out == f"run {run} is paused\n"
    assert phase(command, run) == "paused"
    assert f"go on with: ptutils resume {run}" in command("resume", run, "a=1").err
    assert "got:      --step 1\n" in command("resume", run, "--step", "1").err
    assert command("resume", run).out == f"run {run} goes on\n"
    assert command("stop", run).out == f"run {run} has stopped\n"
    assert phase(command, run) == "interrupted"
    said, _ = process.communicate(timeout=60)
    assert said.startswith(f"run {run} interrupted (")
    assert said.endswith(f"resume {run}\n")


@pytest.mark.parametrize("verb", ["stop", "pause", "checkpoint"])
def test_run_that_does_not_run_cannot_be_asked(
    command: Command, kept: Kept, verb: str
) -> None:
    done = command(verb, kept())

    assert (done.code, done.out) == (1, "")
    assert "got:      completed" in done.err


def test_run_that_has_not_seen_it_in_time_is_told(
    command: Command, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = running
    monkeypatch.setattr("ptutils.cli.asking._PATIENCE_S", 0.0)
    done = command("stop", run)

    assert (done.code, done.out) == (0, "")
    assert done.err == f"run {run} was asked, and has not seen it within 0 s\n"
