"""Stopping anywhere and going on in a fresh tree changes nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from ptutils.core.building.builder import build
from ptutils.core.callback import Callback
from ptutils.core.loop.boundaries import Services
from ptutils.core.loop.schedule import Schedule
from ptutils.core.trainer import Trainer
from ptutils.errors import StopTraining
from ptutils.meta.codec import dumps, encode
from tests.core.training import (
    STEPS_PER_EPOCH,
    TRIGGERS,
    Log,
    Witness,
    provider,
    reacting,
    trainer,
)

ONCE_PER_PROCESS = ("before_looper", "after_looper")
BEFORE_UPDATE = TRIGGERS[TRIGGERS.index("before_fit_batch") :][:5]
"""A training that stops here gives its step up and takes it again."""
AFTER_FORWARD = BEFORE_UPDATE[-2:]
"""Here dropout has drawn already: the step taken again draws anew."""


class Experiment:
    """A trainer, its data and its random state; all of it can be moved to another."""

    def __init__(self, *callbacks: Any, every: str = "1 epoch", **changes: Any) -> None:
        scheduler = build(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.5)
        self.witness = Witness()
        self.trainer: Trainer = trainer(
            *callbacks,
            self.witness,
            scheduler=scheduler,
            scheduler_every=every,
            **changes,
        )
        self.provider = provider()
        self.backend = self.trainer.model.backend
        self.backend.seed(5)
        self.random = self.backend.random_state()
        self.saved: list[Any] = []

    def run(self, duration: str, **settings: Any) -> str:
        return self.trainer.train(
            self.provider,
            schedule=Schedule(duration, **settings),
            services=Services(
                settle=lambda: self.backend.set_random_state(self.random),
                save=lambda why, is_ahead=False: self.saved.append(self.state()),
            ),
        )

    def state(self) -> Any:
        trees = {"trainer": self.trainer, "provider": self.provider}
        state = {name: tree.state_dict() for name, tree in trees.items()}
        return copy.deepcopy({**state, "random": self.backend.random_state()})

    def load(self, state: Any) -> None:
        state = copy.deepcopy(state)
        self.trainer.load_state_dict(state["trainer"])
        self.provider.load_state_dict(state["provider"])
        self.random = state["random"]

    def points(self) -> list[tuple[Any, ...]]:
        history = self.trainer.history
        return sorted((path, *p) for path in history.paths() for p in history[path])

    def log(self) -> Log:
        return [entry for entry in self.witness.log if entry[0] not in ONCE_PER_PROCESS]


def bits(experiment: Experiment) -> Any:
    """Everything that a next step depends on, comparable."""
    encoded = encode(experiment.state())
    return dumps(encoded.document), encoded.types, list(map(bytes, encoded.artifacts))


def assert_equal(halves: list[Experiment], whole: Experiment) -> None:
    assert bits(halves[-1]) == bits(whole)
    points = [point for half in halves for point in half.points()]
    assert sorted(points) == whole.points()
    assert [entry for half in halves for entry in half.log()] == whole.log()


def stop_at(last: int) -> Callback:
    def stop(step: int, trainer: Trainer) -> None:
        if step == last:
            trainer.interrupt("asked to")

    return reacting("end_of_training_step", stop)


@pytest.mark.parametrize("every", ["1 epoch", "3 steps"])
@pytest.mark.parametrize("validate", ["1 epoch", "3 steps", None])
@pytest.mark.parametrize("step", range(1, 2 * STEPS_PER_EPOCH + 1))
def test_interrupted_after_any_step(
    step: int, validate: str | None, every: str
) -> None:
    whole = Experiment(every=every)
    whole.run("3 epochs", validate=validate)

    first, second = Experiment(stop_at(step), every=every), Experiment(every=every)
    assert first.run("3 epochs", validate=validate) == "asked to"
    second.load(first.state())
    assert second.run("3 epochs", validate=validate) == ""

    assert_equal([first, second], whole)


@pytest.mark.parametrize("validate", ["1 epoch", "2 steps"])
@pytest.mark.parametrize("index", range(8))
def test_killed_after_any_checkpoint(index: int, validate: str) -> None:
    whole = Experiment()
    whole.run("2 epochs", validate=validate, checkpoint="1 step")

    resumed = Experiment()
    resumed.load(whole.saved[index])
    resumed.run("2 epochs", validate=validate, checkpoint="1 step")

    assert bits(resumed) == bits(whole)
    assert resumed.points() == [
        point for point in whole.points() if _is_after(point, index + 1, validate)
    ]


def _is_after(point: tuple[Any, ...], step: int, validate: str) -> bool:
    path, at, _, _ = point
    # A checkpoint is written after the validation that is due between two steps, and
    # before the one that is due at the end of the epoch.
    return bool(
        at > step or (at == step and path != "train.loss" and "epoch" in validate)
    )


@pytest.mark.parametrize("step", range(1, 2 * STEPS_PER_EPOCH + 1))
def test_over_after_any_step_and_extended(step: int) -> None:
    whole = Experiment()
    whole.run("3 epochs", validate="3 steps")

    first, second = Experiment(), Experiment()
    assert first.run(f"{step} steps", validate="3 steps") == ""
    assert first.trainer.step == step
    second.load(first.state())
    second.run("3 epochs", validate="3 steps")

    assert_equal([first, second], whole)


def test_over_in_the_last_step_of_an_epoch_and_killed_before_its_end() -> None:
    whole = Experiment()
    whole.run("4 steps", checkpoint="1 step")

    resumed = Experiment()
    resumed.load(whole.saved[-1])
    resumed.run("4 steps", checkpoint="1 step")

    assert (resumed.trainer.epoch, resumed.trainer.metrics) == (
        1,
        whole.trainer.metrics,
    )
    assert bits(resumed) == bits(whole)


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("validate", ["1 epoch", "3 steps"])
def test_stopped_by_a_callback_at_any_trigger(trigger: str, validate: str) -> None:
    stops = [True]

    def stop(step: int, epoch: int) -> None:
        if stops and (step >= 2 or "looper" in trigger):
            stops.clear()
            raise StopTraining(f"at {trigger}")

    whole = Experiment()
    whole.run("2 epochs", validate=validate)
    first, second = Experiment(reacting(trigger, stop)), Experiment()
    assert first.run("2 epochs", validate=validate) == f"at {trigger}"
    second.load(first.state())
    second.run("2 epochs", validate=validate)

    both = sorted(first.points() + second.points())
    assert [point[:3] for point in both] == [point[:3] for point in whole.points()]
    if trigger not in AFTER_FORWARD:
        assert both == whole.points()
        assert bits(second) == bits(whole)
    if trigger not in BEFORE_UPDATE:
        assert_equal([first, second], whole)


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_every_training_closes_what_it_opened(trigger: str) -> None:
    def stop() -> None:
        raise StopTraining("at once")

    experiment = Experiment(reacting(trigger, stop))
    experiment.run("1 epoch")

    opened = [entry[0] for entry in experiment.witness.seen(*ONCE_PER_PROCESS)]
    assert opened == list(ONCE_PER_PROCESS)


def test_step_given_up_is_taken_again_with_its_batch() -> None:
    batches: list[Any] = []

    def note(batch: Any, step: int) -> None:
        batches.append(batch[0])
        if len(batches) == 2:
            raise StopTraining("before the update")

    experiment = Experiment(reacting("before_update", note))
    experiment.run("1 epoch")
    assert experiment.trainer.step == 1
    experiment.run("1 epoch")

    assert torch.equal(batches[1], batches[2])
    assert len(batches) == STEPS_PER_EPOCH + 1


def test_checkpoint_of_a_callback_lies_before_the_validation_of_its_step() -> None:
    states: list[Any] = []

    def save(step: int) -> None:
        if step == 3:
            states.append(whole.state())

    whole = Experiment(reacting("after_fit_batch", save))
    whole.run("2 epochs", validate="3 steps")
    resumed = Experiment()
    resumed.load(states[0])
    resumed.run("2 epochs", validate="3 steps")

    assert bits(resumed) == bits(whole)
    assert [p for p in resumed.points() if p[0] == "valid.loss"] == [
        p for p in whole.points() if p[0] == "valid.loss"
    ]


def test_checkpoint_of_a_callback_of_validation_lies_after_it() -> None:
    states: list[Any] = []

    def save(step: int) -> None:
        if step == 3:
            states.append(whole.state())

    whole = Experiment(reacting("after_validate", save))
    whole.run("2 epochs", validate="3 steps")
    resumed = Experiment()
    resumed.load(states[0])
    resumed.run("2 epochs", validate="3 steps")

    assert bits(resumed) == bits(whole)
    assert resumed.log()[0][0] != "before_validate"
    assert [p[1] for p in resumed.points() if p[0] == "valid.loss"] == [6]


def _appending(seen: list[float]) -> Any:
    def append(noise: float) -> None:
        seen.append(noise)

    return append


def test_what_callbacks_wrote_between_steps_is_there_after_a_resume() -> None:
    seen: list[float] = []

    def callbacks() -> list[Callback]:
        return [
            reacting(
                "before_epoch", lambda epoch: {"noise": 0.5 + epoch}, writes=("noise",)
            ),
            reacting("before_fit_batch", _appending(seen)),
        ]

    first, second = Experiment(*callbacks(), stop_at(6)), Experiment(*callbacks())
    first.run("3 epochs")
    second.load(first.state())
    second.run("3 epochs")

    assert seen == [0.5] * 4 + [1.5] * 4 + [2.5] * 4
