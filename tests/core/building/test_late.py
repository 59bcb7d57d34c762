from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

from ptutils.core.building.builder import build
from ptutils.core.building.late import Late, late_parameter
from tests.core.samples import Branch

SCHEDULERS = "torch.optim.lr_scheduler"


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), lr=1.0)


class Renamed(torch.optim.SGD):
    def __init__(self, weights: Any, lr: float = 0.1) -> None:
        super().__init__(weights, lr=lr)


class Greedy(torch.optim.SGD):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (torch.optim.AdamW, "params"),
        (torch.optim.lr_scheduler.StepLR, "optimizer"),
        (torch.optim.lr_scheduler.ChainedScheduler, "optimizer"),
        (torch.optim.lr_scheduler.ReduceLROnPlateau, "optimizer"),
        (Renamed, "weights"),
        (Greedy, "params"),
        (torch.nn.Linear, None),
        (len, None),
    ],
)
def test_argument_that_a_class_waits_for(target: Any, expected: str | None) -> None:
    assert late_parameter(target) == expected


def test_optimizer_with_another_name_for_its_parameters_waits_for_them() -> None:
    late = build(Renamed, lr=0.5)
    assert late([torch.zeros(1, requires_grad=True)]).param_groups[0]["lr"] == 0.5


def test_settings_are_shown() -> None:
    assert repr(build(torch.optim.SGD, lr=0.5)) == "Late(SGD, lr=0.5)"
    assert repr(build(torch.optim.AdamW)) == "Late(AdamW)"


def test_schedulers_of_a_sequence_get_the_same_optimizer() -> None:
    config = {
        "class": f"{SCHEDULERS}.SequentialLR",
        "schedulers": [
            {"class": f"{SCHEDULERS}.ConstantLR", "factor": 0.5, "total_iters": 2},
            {"class": f"{SCHEDULERS}.ExponentialLR", "gamma": 0.5},
        ],
        "milestones": [2],
    }
    given = optimizer()
    late = build(config)
    built = late(given)
    assert all(inner.optimizer is given for inner in built._schedulers)
    assert Branch(built).config == Branch(late).config
    assert Branch(built).config["left"] == config


@pytest.mark.parametrize("form", [list, tuple])
def test_schedulers_of_a_chain_get_the_same_optimizer(form: Any) -> None:
    inner = {"class": f"{SCHEDULERS}.ExponentialLR", "gamma": 0.5}
    config = {
        "class": f"{SCHEDULERS}.ChainedScheduler",
        "schedulers": form([inner, inner]),
    }
    given = optimizer()
    late = build(config)
    assert isinstance(late, Late)
    assert [scheduler.optimizer for scheduler in late(given)._schedulers] == [given] * 2


def test_positions_of_a_chain_are_its_schedulers() -> None:
    inner = {"class": f"{SCHEDULERS}.ExponentialLR", "gamma": 0.5}
    late = build({"class": f"{SCHEDULERS}.ChainedScheduler", "args": [[inner]]})
    assert len(late(optimizer())._schedulers) == 1


def test_one_config_may_be_built_for_several_optimizers() -> None:
    late = build({"class": f"{SCHEDULERS}.StepLR", "step_size": 3})
    first, second = optimizer(), optimizer()
    assert late(first).optimizer is first
    assert late(second).optimizer is second


def test_late_object_is_pickled() -> None:
    late = pickle.loads(pickle.dumps(build(torch.optim.SGD, lr=0.5)))  # noqa: S301
    assert late([torch.zeros(1, requires_grad=True)]).param_groups[0]["lr"] == 0.5
