"""The default stages fit and validate as their docstrings say."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ptutils.core.building.builder import build
from ptutils.core.loop.schedule import Schedule
from ptutils.data.loader import DataLoader
from ptutils.data.provider import DataProvider
from ptutils.errors import DataError
from tests.core.training import STEPS_PER_EPOCH, data, reacting, train, trainer


def test_changed_gradients_are_what_the_optimizer_sees() -> None:
    def clear(gradients: Any) -> dict[str, Any]:
        zeros = {name: torch.zeros_like(value) for name, value in gradients.items()}
        return {"gradients": zeros}

    made = trainer(reacting("after_gradient", clear, writes=("gradients",)))
    before = [weight.detach().clone() for weight in made.model.net.parameters()]
    train(made)
    assert all(map(torch.equal, before, made.model.net.parameters()))


def test_changed_batch_is_what_the_net_sees() -> None:
    def blank(batch: Any) -> dict[str, Any]:
        return {"batch": (torch.zeros_like(batch[0]), torch.zeros_like(batch[1]))}

    linear = torch.nn.Linear(3, 1, bias=False)
    train(
        made := trainer(reacting("before_gradient", blank, writes="batch"), net=linear)
    )
    assert list(made.history["train.loss"].values) == [0.0] * STEPS_PER_EPOCH


def test_validation_weighs_the_uneven_last_batch_exactly() -> None:
    linear = torch.nn.Linear(3, 1)
    made = trainer(net=linear)
    train(made)
    inputs, targets = data(5).reader.read_batch(range(5))
    whole = torch.nn.functional.mse_loss(linear(inputs), targets)
    assert made.metrics["valid.loss"] == pytest.approx(whole.item(), rel=1e-6)
    error = (linear(inputs) - targets).abs().mean()
    assert made.metrics["valid.error"] == pytest.approx(error.item(), rel=1e-6)


def test_validation_is_without_dropout_and_gives_the_mode_back() -> None:
    modes: list[tuple[str, bool]] = []

    def noting(trigger: str) -> Any:
        return reacting(
            trigger, lambda model: modes.append((trigger, model.net.training))
        )

    triggers = ("after_update", "after_loss", "after_validate")
    train(trainer(*map(noting, triggers)), "3 steps", validate="2 steps")
    assert modes == [
        ("after_update", True),
        ("after_update", True),
        *[("after_loss", False)] * 3,
        ("after_validate", True),
        ("after_update", True),
    ]


def test_metrics_begin_anew_in_every_validation() -> None:
    made = trainer(optimizer=build(torch.optim.SGD, lr=0.0))
    train(made, "2 epochs")
    first, second = made.history["valid.error"].values
    assert first == second


def test_batch_that_is_no_pair_is_refused() -> None:
    inputs = torch.randn(4, 3)
    sets = {"train": torch.utils.data.TensorDataset(inputs)}
    given = DataProvider(sets, {"train": DataLoader(batch_size=2)})
    with pytest.raises(DataError, match="cannot go forward with this batch"):
        trainer().train(given, schedule=Schedule("1 epoch", validate=None))
