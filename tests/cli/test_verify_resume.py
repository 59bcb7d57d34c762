"""``verify-resume`` proves, by its exit code too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ptutils
from ptutils.core.verification.divergence import Divergence
from ptutils.core.verification.proof import Interruption, Proof
from tests.cli.conftest import Command


def stand_in(proof: Proof) -> Callable[..., Proof]:
    """Return what proves at once, and holds what it was asked."""

    def prove(config: Any, **settings: Any) -> Proof:
        settings["report"]("ran 6 steps without interruption")
        del settings["report"]
        asked.update(config=config, **settings)
        return proof

    asked: dict[str, Any] = {}
    prove.asked = asked  # type: ignore[attr-defined]
    return prove


EXACT = Proof(
    seed=3,
    steps=6,
    interruptions=[Interruption(step=4, resumed_from=3)],
    digests=("ab" * 32, "ab" * 32),
    divergence=None,
)
WRONG = Proof(
    seed=3,
    steps=6,
    interruptions=EXACT.interruptions,
    digests=("ab" * 32, "cd" * 32),
    divergence=Divergence(step=4, kind="state", paths=["trainer.model.net.0.weight"]),
)


def test_a_real_experiment_is_proved_exact(command: Command) -> None:
    done = command("verify-resume", "tiny.yaml", "schedule.duration=3 steps")
    assert done.code == 0, done.err
    assert done.out.startswith("exact: 3 steps, killed in step")
    assert "ran 3 steps without interruption" in done.err


def test_what_is_asked_is_passed_on(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove = stand_in(EXACT)
    monkeypatch.setitem(vars(ptutils), "verify_resume", prove)
    options = ["--steps", "6", "--kills", "2", "--seed", "3", "--trust", "mine"]
    assert command("verify-resume", "tiny.yaml", "seed=4", *options).code == 0
    asked: dict[str, Any] = prove.asked  # type: ignore[attr-defined]
    assert asked.pop("config")["seed"] == 4
    assert asked == {"steps": 6, "kills": 2, "seed": 3, "trust": ["mine"]}


def test_a_difference_is_shown_and_exits_with_1(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(ptutils), "verify_resume", stand_in(WRONG))
    done = command("verify-resume", "tiny.yaml")
    assert done.code == 1
    assert "first difference: in step 4, in the state" in done.out
    assert "trainer.model.net.0.weight" in done.out


def test_json_is_one_value(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(ptutils), "verify_resume", stand_in(WRONG))
    done = command("verify-resume", "tiny.yaml", "--json")
    assert done.code == 1
    assert json.loads(done.out) == WRONG.to_dict()


def test_what_cannot_be_tried_exits_with_2(command: Command) -> None:
    done = command("verify-resume", "none.yaml")
    assert done.code == 2
    assert done.err.startswith("ConfigError: cannot read")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_nothing_goes_on_when_it_is_ended(
    command: Command, tmp_path: Path, end: signal.Signals
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "ptutils.cli"),
            *("verify-resume", "tiny.yaml", "schedule.duration=1000000 steps"),
        ],
        env={**os.environ, "TMPDIR": str(room)},
        stderr=subprocess.DEVNULL,
    )
    while not (started := children_of(process.pid)) or not [*room.rglob("*.db")]:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(end)
    assert process.wait(60) == 128 + end
    assert [each for each in started if is_running(each)] == []
    assert [*room.rglob("*.db")] == []


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(each) for each in listed.split()]


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
