"""What a terminal or a cluster sends to a running training, and what is left then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ptutils
from ptutils.core.records.run import Run
from tests.core.experiment import config


def wait_for_step(url: str, step: int) -> Run:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        if Path(url).exists():
            found = ptutils.connect(url).runs.find()
            if found and found[0].newest() and found[0].newest().step >= step:
                return found[0]
        time.sleep(0.1)
    raise AssertionError(f"no checkpoint at step {step} within a minute")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_to_all_processes_of_a_training_saves_and_ends_it(
    number: signal.Signals, tmp_path: Path
) -> None:
    url = str(tmp_path / "runs.db")
    path = config(
        schedule__duration="10000 steps",
        schedule__keep={"last": 2},
        dbinterface=url,
        dataprovider__loaders__train__num_workers=2,
    ).save(tmp_path / "experiment.yaml")
    command = [sys.executable, "-m", "ptutils.cli", "--db", url, "run", str(path)]
    process = subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    found = wait_for_step(url, 3)
    os.killpg(process.pid, number)
    _, message = process.communicate(timeout=60)
    found = found.refresh()
    assert process.returncode == 128 + number
    assert "Traceback" not in message
    assert f"ptutils resume {found.id}" in message
    assert found.status.phase == "interrupted"
    newest = found.newest()
    assert newest is not None
    assert newest.why == "last"
    assert newest.step == found.status.progress["step"]
