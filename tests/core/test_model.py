"""A Model is a net with its loss, its optimizer and its metrics."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchmetrics.regression import MeanAbsoluteError

from ptutils.core.building.builder import build
from ptutils.core.model import Model
from ptutils.errors import ConfigError
from tests.core.training import model, train, trainer

SCHEDULER = torch.optim.lr_scheduler.ExponentialLR


class Scaled(torch.nn.Module):
    """A loss with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.scale.square() * (outputs - targets).square().mean()


def test_calling_a_model_goes_forward() -> None:
    linear = torch.nn.Linear(3, 1)
    inputs = torch.ones(2, 3)
    assert torch.equal(Model(linear, device="cpu")(inputs), linear(inputs))


def test_optimizer_is_built_with_the_parameters() -> None:
    made = model(net=torch.nn.Linear(3, 1))
    (group,) = made.optimizer.param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in made.net.parameters()]


def test_parameters_of_the_loss_are_trained_too() -> None:
    made = trainer(criterion=Scaled())
    train(made, "1 step")
    assert made.model.criterion.scale != 2.0


def test_loss_may_be_a_function() -> None:
    made = trainer(criterion=torch.nn.functional.mse_loss)
    train(made, "1 step")
    assert made.step == 1


def test_loss_that_is_an_empty_container_is_a_loss() -> None:
    criterion = torch.nn.Sequential()
    assert model(criterion=criterion).criterion is criterion


def test_optimizer_made_by_hand_is_taken_as_it_is() -> None:
    linear = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.1)
    assert model(net=linear, optimizer=optimizer).optimizer is optimizer


def test_scheduler_is_built_with_the_optimizer() -> None:
    made = model(scheduler=build(SCHEDULER, gamma=0.5))
    assert made.scheduler.optimizer is made.optimizer


@pytest.mark.parametrize(
    ("every", "rate"),
    [("1 epoch", 0.25), ("2 epochs", 0.5), ("1 step", 2**-8), ("3 steps", 0.25)],
)
def test_scheduler_steps_when_it_says(every: str, rate: float) -> None:
    made = trainer(
        optimizer=build(torch.optim.SGD, lr=1.0),
        scheduler=build(SCHEDULER, gamma=0.5),
        scheduler_every=every,
        net=torch.nn.Linear(3, 1),
    )
    train(made, "2 epochs")
    assert made.model.optimizer.param_groups[0]["lr"] == rate


def test_model_without_scheduler_is_scheduled_by_nothing() -> None:
    assert model().scheduled_by("epochs") == 0
    assert model(scheduler=build(SCHEDULER, gamma=0.5)).scheduled_by("epochs") == 1
    assert model(scheduler=build(SCHEDULER, gamma=0.5)).scheduled_by("steps") == 0


def test_scheduler_without_optimizer_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot build the scheduler at 'scheduler'"):
        model(optimizer=None, scheduler=build(SCHEDULER, gamma=0.5))


def test_scheduler_by_seconds_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot schedule by this") as caught:
        model(scheduler=build(SCHEDULER, gamma=0.5), scheduler_every="30 s")
    assert "write '1 step' or '1 epoch'" in str(caught.value)


def test_scheduler_that_needs_a_metric_is_refused() -> None:
    plateau = build(torch.optim.lr_scheduler.ReduceLROnPlateau)
    with pytest.raises(ConfigError, match="cannot step ReduceLROnPlateau") as caught:
        model(scheduler=plateau)
    assert "step(metrics)" in str(caught.value)


@pytest.mark.parametrize("wrong", [torch.optim.SGD, "SGD", {"lr": 0.1}])
def test_what_is_no_optimizer_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="cannot use this as the optimizer") as caught:
        model(optimizer=wrong)
    assert "ptutils.build(torch.optim.AdamW, lr=0.001)" in str(caught.value)


def test_optimizer_that_needs_a_closure_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot step LBFGS"):
        model(optimizer=build(torch.optim.LBFGS))


def test_device_is_chosen_by_name() -> None:
    assert model(device="cpu").device == torch.device("cpu")


def test_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot use the device 'gpu'") as caught:
        model(device="gpu")
    assert "set device: auto" in str(caught.value)


def test_net_goes_into_training_and_evaluation_mode() -> None:
    made = model()
    made.train(False)
    assert not made.net.training
    made.train()
    assert made.net.training


def test_metrics_are_updated_computed_and_reset() -> None:
    made = model(metrics={"error": MeanAbsoluteError()})
    made.update_metrics(torch.tensor([1.0]), torch.tensor([3.0]))
    assert made.compute_metrics() == {"error": 2.0}
    made.reset_metrics()
    made.update_metrics(torch.tensor([1.0]), torch.tensor([2.0]))
    assert made.compute_metrics() == {"error": 1.0}


def test_model_without_loss_and_optimizer_may_still_go_forward() -> None:
    made = Model(torch.nn.Linear(3, 1), device="cpu")
    assert made.forward(torch.ones(1, 3)).shape == (1, 1)
    with pytest.raises(ConfigError, match="cannot train this Model"):
        made.require_trainable()


def test_state_holds_net_loss_optimizer_and_scheduler() -> None:
    made = model(criterion=Scaled(), scheduler=build(SCHEDULER, gamma=0.5))
    assert sorted(made.state_dict()) == ["criterion", "net", "optimizer", "scheduler"]


def test_class_is_no_net() -> None:
    with pytest.raises(ConfigError, match="cannot use this as the net") as caught:
        Model(torch.nn.Linear, device="cpu")
    assert "got:      class Linear\n  fix:      Linear(...)" in str(caught.value)


def test_function_is_no_net() -> None:
    with pytest.raises(ConfigError, match=r"function tanh\n.*wrap it in"):
        Model(torch.tanh, device="cpu")


def test_what_is_not_made_yet_is_no_net() -> None:
    with pytest.raises(ConfigError, match="got:      Late: "):
        Model(build(torch.optim.SGD, lr=0.1), device="cpu")


@pytest.mark.parametrize(
    ("wrong", "got"), [(torch.nn.MSELoss, "class MSELoss"), ("mse", "str: 'mse'")]
)
def test_what_is_no_criterion_is_refused(wrong: Any, got: str) -> None:
    with pytest.raises(ConfigError, match="cannot use this as the criterion") as caught:
        model(criterion=wrong)
    assert got in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (MeanAbsoluteError, "class MeanAbsoluteError"),
        (torch.tanh, "function tanh"),
        (3, "int: 3"),
    ],
)
def test_what_is_no_metric_is_refused(wrong: Any, got: str) -> None:
    with pytest.raises(ConfigError, match="cannot use this as the metric 'e'") as error:
        model(metrics={"e": wrong})
    assert got in str(error.value)


def test_metrics_without_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="at 'metrics'"):
        model(metrics=[MeanAbsoluteError()])


def test_metric_that_would_hide_the_validation_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a metric 'loss' at 'metrics\.loss'"):
        model(metrics={"loss": MeanAbsoluteError()})
