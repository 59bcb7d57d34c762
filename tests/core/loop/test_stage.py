"""Stages are replaced, removed and added, in Python and by config."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch

from ptutils.core.building.builder import build
from ptutils.core.loop.looper import Looper
from ptutils.core.loop.stage import Stage, Values
from ptutils.core.loop.stages import Epoch, Fit, FitBatch, Gradient, Update, Validate
from ptutils.core.trainer import Trainer
from ptutils.errors import ConfigError
from ptutils.meta.registry import register
from tests.core.training import model, reacting, train, trainer


@register
class HalfUpdate(Update):
    """Takes its step on halved gradients."""

    def __init__(self, factor: float = 0.5) -> None:
        super().__init__()
        self.factor = factor

    def run(self, values: Values) -> None:
        for parameter in values["model"].net.parameters():
            parameter.grad *= self.factor
        super().run(values)


class NoUpdate(Stage):
    """Stands in for Update without counting or knowing it."""

    def run(self, values: Values) -> None:
        values["model"].optimizer.step()


@register
class Measure(Stage):
    """Reads what the stages before it wrote."""

    reads: ClassVar[tuple[str, ...]] = ("loss", "step")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, bool]] = []

    def run(self, values: Values) -> None:
        self.seen.append((values["step"], bool(torch.isfinite(values["loss"]))))


def looper_of(**stages: Any) -> Looper:
    """Return a looper whose FitBatch has other stages."""
    return Looper(epoch=Epoch(fit=Fit(fit_batch=FitBatch(**stages))))


def names(stage: Stage) -> list[str]:
    return [name for name, _ in stage.stages()]


def test_default_tree() -> None:
    looper: Any = Looper()
    assert names(looper) == ["epoch"]
    assert names(looper.epoch) == ["fit", "validate"]
    assert names(looper.epoch.fit.fit_batch) == ["gradient", "update"]
    assert names(looper.epoch.validate.validate_batch) == ["loss"]


def test_stage_itself_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Stage()  # type: ignore[abstract]


def test_stage_is_called_as_it_is_run() -> None:
    measure = Measure()
    measure(Values(step=1, loss=torch.tensor(1.0)))
    assert measure.seen == [(1, True)]


def test_stage_is_always_due_by_default() -> None:
    assert Measure().is_due(Values())


def test_one_of_a_defaults_name_replaces_it() -> None:
    stage: Any = FitBatch(update=HalfUpdate())
    assert names(stage) == ["gradient", "update"]
    assert type(stage.update) is HalfUpdate


def test_none_removes_a_default() -> None:
    assert names(Epoch(validate=None)) == ["fit"]


def test_another_name_is_appended() -> None:
    assert names(FitBatch(measure=Measure())) == ["gradient", "update", "measure"]


def test_removing_what_is_not_there_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="cannot remove the stage 'updat'") as caught:
        FitBatch(updat=None)
    assert "did you mean 'update'?" in str(caught.value)


def test_removing_from_a_stage_without_stages_is_refused() -> None:
    with pytest.raises(ConfigError, match="no name: it has no stages"):
        Gradient(update=None)


def test_what_is_no_stage_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot use this as the stage 'update'"):
        FitBatch(update=HalfUpdate)  # type: ignore[arg-type]


def test_replaced_stage_is_run_at_the_place_of_the_default() -> None:
    start = weights(trainer())
    moved = []
    for looper in (looper_of(update=HalfUpdate()), None):
        made = trainer(looper=looper)
        train(made, "1 step")
        moved.append([new - old for new, old in zip(weights(made), start, strict=True)])

    torch.testing.assert_close([2 * step for step in moved[0]], moved[1])


def test_replaced_stage_raises_the_triggers_of_the_default() -> None:
    steps: list[int] = []
    after = reacting("after_update", lambda step: steps.append(step) or None)
    train(trainer(after, looper=looper_of(update=HalfUpdate())), "2 steps")
    assert steps == [1, 2]


def weights(made: Trainer) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in made.model.net.parameters()]


def test_stage_in_place_of_update_need_not_count() -> None:
    made = trainer(looper=looper_of(update=NoUpdate()))
    train(made)
    assert made.step == 4


def test_loop_without_update_leaves_the_weights_alone() -> None:
    made = trainer(looper=looper_of(update=None))
    before = weights(made)
    train(made)
    assert made.step == 4
    assert all(map(torch.equal, before, weights(made)))


def test_loop_without_gradient_records_no_loss() -> None:
    looper = looper_of(gradient=None, update=None)
    made = trainer(looper=looper)
    train(made)
    assert "train.loss" not in made.history.paths()


def test_added_stage_sees_the_step_that_was_taken() -> None:
    measure = Measure()
    train(trainer(looper=looper_of(measure=measure)), "3 steps")
    assert measure.seen == [(1, True), (2, True), (3, True)]


def test_loop_without_validation_measures_nothing() -> None:
    made = trainer(looper=Looper(epoch=Epoch(validate=None)))
    train(made, validate="2 steps")
    assert made.metrics == {}


def test_second_validation_has_triggers_of_its_own() -> None:
    seen: list[str] = []
    made = trainer(
        reacting("after_validate", lambda: seen.append("validate")),
        reacting("after_test", lambda: seen.append("test")),
        looper=Looper(epoch=Epoch(test=Validate())),
    )
    train(made)
    assert seen == ["validate", "test"]


def test_stages_are_chosen_by_config() -> None:
    config = {
        "class": "Looper",
        "epoch": {
            "class": "Epoch",
            "fit": {
                "class": "Fit",
                "fit_batch": {
                    "class": "FitBatch",
                    "update": {"class": "HalfUpdate", "factor": 0.1},
                    "measure": {"class": "Measure"},
                },
            },
            "validate": None,
        },
    }
    looper = build(config)

    assert names(looper.epoch) == ["fit"]
    assert names(looper.epoch.fit.fit_batch) == ["gradient", "update", "measure"]
    assert looper.epoch.fit.fit_batch.update.factor == 0.1
    assert looper.config == config


def test_stage_without_a_class_in_a_config_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"epoch"):
        build({"class": "Looper", "epoch": {"fit": {"class": "Fit"}}})


def test_misspelt_stage_in_a_config_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean"):
        build({"class": "Looper", "epoch": {"class": "Epohc"}})


def test_trainer_is_built_with_its_looper_by_config() -> None:
    config = Trainer(
        model(net=build(torch.nn.Linear, 3, 1)), looper=Looper(epoch=Epoch())
    )
    described = config.config
    described["model"] = {
        **described["model"],
        "criterion": {"class": "torch.nn.MSELoss"},
    }
    made = build({"class": "Trainer", **described})

    assert made.looper.config == {"class": "Looper", "epoch": {"class": "Epoch"}}
    assert train(made) == ""
