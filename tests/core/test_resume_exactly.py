"""A run that is killed again and again ends in the same bits as one that never was."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import ptutils
from ptutils.core.callback import Callback
from ptutils.core.records.run import Run
from ptutils.core.session import Session
from ptutils.meta.registry import register
from tests.core.experiment import STEPS_PER_EPOCH, config

EPOCHS = 4
WORKERS = "dataprovider.loaders.train.num_workers"
# Each process is new, forked from a clean one that has imported what is slow.
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload([__name__, "torchmetrics.classification"])


@register
class Kill(Callback):
    """Kills its process with SIGKILL at one moment."""

    def __init__(self, trigger: str = "", step: int = -1) -> None:
        self.trigger = trigger
        self.step = step

    def before_update(self, step: int) -> None:
        self._strike("before_update", step)

    def end_of_training_step(self, step: int) -> None:
        self._strike("end_of_training_step", step)

    def before_validate(self, step: int) -> None:
        self._strike("before_validate", step)

    def after_validate(self, step: int) -> None:
        self._strike("after_validate", step)

    def after_epoch(self, step: int) -> None:
        self._strike("after_epoch", step)

    def _strike(self, trigger: str, step: int) -> None:
        if (trigger, step) == (self.trigger, self.step):
            os.kill(os.getpid(), signal.SIGKILL)


def start(url: str, changes: Mapping[str, Any]) -> None:
    experiment = config(schedule__duration=f"{EPOCHS} epochs", dbinterface=url)
    experiment.trainer.callbacks.append({"class": "Kill"})
    changed = experiment.override({"schedule.checkpoint": "4 steps", **changes})
    Session.from_meta(config=changed).run()


def resume(url: str, changes: Mapping[str, Any]) -> None:
    ptutils.connect(url).runs.find()[0].resume(changes).run()


def in_new_process(function: Any, url: str, changes: Mapping[str, Any]) -> int:
    process = processes.Process(target=function, args=(url, changes))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def moments(chance: random.Random) -> list[tuple[str, int]]:
    """Five moments in order: random ones, and both sides of a validation."""
    end = STEPS_PER_EPOCH
    return [
        ("before_update", chance.randrange(1, end - 1)),
        ("end_of_training_step", end),
        ("before_validate", 2 * end),
        ("end_of_training_step", chance.randrange(2 * end + 2, 3 * end)),
        ("after_validate", 3 * end),
        ("after_epoch", 4 * end),
    ]


def points(found: Run) -> dict[str, list[tuple[int, int, float]]]:
    history = found.history
    return {
        path: [(p.step, p.epoch, p.value) for p in history[path]]
        for path in history.paths()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    url = str(tmp_path_factory.mktemp("whole") / "runs.db")
    assert in_new_process(start, url, {}) == 0
    return ptutils.connect(url).runs.find()[0]


@pytest.mark.parametrize("workers", [(0, 0), (2, 2), (0, 2)])
def test_run_killed_at_every_kind_of_moment_equals_uninterrupted_run(
    whole: Run, workers: tuple[int, int], tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)  # noqa: S311 - moments, no secrets
    url = str(tmp_path / "runs.db")
    function = start
    for count, (trigger, step) in enumerate(moments(chance)):
        killer = {"class": "Kill", "trigger": trigger, "step": step}
        kill = {"trainer.callbacks.2": killer}
        changes = {**kill, WORKERS: workers[count % 2]}
        code = in_new_process(function, url, changes)
        assert code == -signal.SIGKILL, f"seed {seed}: not killed at {trigger} {step}"
        found = ptutils.connect(url).runs.find()[0]
        assert found.status.phase == "lost", f"seed {seed}"
        function = resume
    assert in_new_process(resume, url, {"trainer.callbacks.2": {"class": "Kill"}}) == 0
    (found,) = ptutils.connect(url).runs.find()
    newest, expected = found.newest(), whole.newest()
    assert newest is not None
    assert expected is not None
    assert points(found) == points(whole), f"seed {seed}"
    assert newest.digest == expected.digest, f"seed {seed}"


def test_killed_run_keeps_what_it_recorded_as_segments(
    whole: Run, tmp_path: Path
) -> None:
    url = str(tmp_path / "runs.db")
    killer = {"class": "Kill", "trigger": "after_epoch", "step": 6}
    kill = {"trainer.callbacks.2": killer}
    in_new_process(start, url, kill)
    in_new_process(resume, url, {"trainer.callbacks.2": {"class": "Kill"}})
    (found,) = ptutils.connect(url).runs.find()
    first, second = found.segments
    # The last checkpoint was at step 4; what came after it was recorded twice.
    assert [p.step for p in first["train.loss"]][:4] == [1, 2, 3, 4]
    assert next(iter(second["train.loss"])).step == 5
