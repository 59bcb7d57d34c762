"""A run that is killed is proved to end as one that was not, or where it parts."""

from __future__ import annotations

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
from ptutils.core.verification import proof as module
from ptutils.core.verification.attempt import attempt, main
from ptutils.core.verification.divergence import Divergence
from ptutils.core.verification.processes import run_attempt
from ptutils.core.verification.proof import Interruption, Proof, verify_resume
from ptutils.errors import ConfigError
from tests.core.verification.inexact import TRUSTED, config

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits.yaml"


class Killed(BaseException):
    """Stands for SIGKILL in this process."""


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attempts take place in this process."""

    def strike(pid: int, number: int) -> None:
        assert (pid, number) == (os.getpid(), signal.SIGKILL)
        raise Killed

    def run(order: dict[str, Any], log: Path) -> int:
        try:
            attempt(order)
        except Killed:
            with ptutils.connect(order["database"]) as db:
                db.update({}, {"$set": {"lease": None}}, collection="runs")
            return -signal.SIGKILL
        return 0

    monkeypatch.setattr(os, "kill", strike)
    monkeypatch.setattr(module, "run_attempt", run)


def proved(experiment: Any, **settings: Any) -> Proof:
    return verify_resume(experiment, trust=[TRUSTED], **settings)


def test_the_example_resumes_exactly_in_new_processes() -> None:
    told: list[str] = []
    found = verify_resume(EXAMPLE, steps=4, seed=0, report=told.append)
    assert found, found
    assert found.steps == 4
    assert found.digests[0] == found.digests[1]
    (killed,) = found.interruptions
    assert 0 <= killed.resumed_from < killed.step
    assert str(found).startswith(f"exact: 4 steps, killed in step {killed.step}")
    assert told[:2] == [
        "seed 0 chooses the steps to be killed in",
        "ran 4 steps without interruption",
    ]


@pytest.mark.usefixtures("here")
def test_the_same_seed_kills_in_the_same_steps() -> None:
    first, second = (proved(config(), kills=2, seed=5) for _ in range(2))
    assert first
    assert len(first.interruptions) == 2
    assert first == second


@pytest.mark.usefixtures("here")
def test_any_seed_is_told() -> None:
    told: list[str] = []
    found = proved(config(), steps=2, report=told.append)
    assert told[0] == f"seed {found.seed} chooses the steps to be killed in"
    assert found.interruptions[0].step == 2


@pytest.mark.usefixtures("here")
def test_a_counter_that_is_not_saved_is_found_after_the_kill() -> None:
    experiment = config()
    experiment["trainer.callbacks"] = [{"class": f"{TRUSTED}.Forgetful"}]
    found = proved(experiment, seed=1)
    assert not found
    assert found.is_repeatable
    assert found.divergence is not None
    (killed,) = found.interruptions
    assert found.divergence.step == killed.resumed_from + 1
    assert found.divergence.kind == "state"
    assert "trainer.model.net.0.weight" in found.divergence.paths
    assert f"first difference: in step {found.divergence.step}, in the state" in str(
        found
    )


@pytest.mark.usefixtures("here")
def test_noise_of_its_own_is_found_in_the_first_step() -> None:
    found = proved(config({"class": f"{TRUSTED}.OwnNoise"}), seed=1)
    assert not found
    assert not found.is_repeatable
    assert found.divergence is not None
    assert (found.divergence.step, found.divergence.kind) == (1, "state")
    assert "trainer.model.net.0.weight" in found.divergence.paths
    assert "this experiment is another each time it is run" in str(found)


@pytest.mark.usefixtures("here")
def test_a_run_that_ends_before_it_is_killed_is_compared_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_chosen", lambda total, kills, seed: [total + 1])
    found = proved(config(), seed=1)
    assert found.interruptions == []
    assert found


@pytest.mark.parametrize(("kills", "expected"), [(2, "1 to 1 times"), (0, "1 to 1")])
@pytest.mark.usefixtures("here")
def test_an_experiment_too_short_for_the_kills_is_refused(
    kills: int, expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        proved(config(), steps=2, kills=kills)


@pytest.mark.usefixtures("here")
def test_an_experiment_of_one_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 steps or more"):
        proved(config(schedule={"duration": "1 step", "validate": None}))


def test_a_schedule_that_is_no_dict_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot save this experiment after every"):
        proved(config(schedule="3 epochs"))


def test_an_experiment_that_fails_tells_what_it_said() -> None:
    with pytest.raises(ConfigError, match="Nonsense") as caught:
        proved(config({"class": "torch.nn.Nonsense"}))
    assert caught.value.what == "cannot run the experiment"
    assert "exit code 1" in str(caught.value)


def test_what_can_be_run_and_not_resumed_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(order: dict[str, Any], log: Path) -> int:
        log.write_text("told")
        if not order["resume"]:
            attempt({**order, "kill": None})
        return -signal.SIGKILL if order["kill"] else order["resume"]

    monkeypatch.setattr(module, "run_attempt", run)
    with pytest.raises(ConfigError, match="cannot resume it"):
        proved(config(), steps=2)


def test_a_run_that_was_never_saved_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(order: dict[str, Any], log: Path) -> int:
        attempt(order)
        with ptutils.connect(order["database"]) as db:
            db.delete({}, collection="checkpoints")
        return 0

    monkeypatch.setattr(module, "run_attempt", run)
    with pytest.raises(ConfigError, match="never saved"):
        proved(config(), steps=2)


def test_an_attempt_that_cannot_be_made_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order = f'{{"config": "{tmp_path}/none.yaml", "resume": false}}'
    monkeypatch.setattr(sys, "argv", ["-c", order])
    with pytest.raises(SystemExit, match="ConfigError: cannot read"):
        main()


def test_all_is_told_as_plain_values() -> None:
    found = Proof(
        seed=1,
        steps=9,
        interruptions=[Interruption(step=4, resumed_from=3)],
        digests=("a", "b"),
        divergence=Divergence(step=5, kind="samples", paths=[*"abcdefg"]),
    )
    assert found.to_dict() == {
        "is_exact": False,
        "is_repeatable": True,
        "seed": 1,
        "steps": 9,
        "interruptions": [{"step": 4, "resumed_from": 3}],
        "digests": ["a", "b"],
        "divergence": {"step": 5, "kind": "samples", "paths": [*"abcdefg"]},
    }
    assert str(found).endswith("    e\n    and 2 more")


def test_a_proof_without_divergence_is_true() -> None:
    found = Proof(
        seed=1,
        steps=9,
        interruptions=[Interruption(step=4, resumed_from=3)],
        digests=("a" * 64, "a" * 64),
        divergence=None,
    )
    assert found
    assert found.is_repeatable
    assert str(found).startswith("exact: 9 steps, killed in step 4, resumed from 3")


def wait_for(is_so: Callable[[], object], timeout_s: float = 120.0) -> None:
    until = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    experiment = config(schedule={"duration": "100000 epochs", "validate": None})
    path = experiment.save(tmp_path / "endless.json")
    program = (
        f"import ptutils; ptutils.verify_resume({str(path)!r}, trust=[{TRUSTED!r}])"
    )
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE
    )
    wait_for(lambda: list(tmp_path.glob("ptutils-*/whole.db")))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate()[1]
    assert children.split()
    for child in children.split():
        wait_for(lambda child=child: not Path(f"/proc/{child}").exists())
    assert not list(tmp_path.glob("ptutils-*"))


def test_a_process_runs_where_this_one_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    order = {"config": str(tmp_path / "none.yaml"), "resume": False}
    log = tmp_path / "log"
    assert run_attempt(order, log) == 1
    assert "none.yaml" in log.read_text()
