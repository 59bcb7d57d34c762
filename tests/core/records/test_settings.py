"""What was changed holds after loading; what was not is as the State says."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

import ptutils
from ptutils.core.module import Module
from ptutils.core.records.settings import changes_kept

build = ptutils.build


def model(scheduler: Any = None, **settings: Any) -> Any:
    """A Model with SGD, whose settings these are, and perhaps a scheduler."""
    optimizer = build(torch.optim.SGD, **{"lr": 0.1, **settings})
    net = torch.nn.Linear(2, 1)
    return ptutils.Model(net, optimizer=optimizer, scheduler=scheduler, device="cpu")


def trained(made: Any, steps: int = 3) -> Any:
    for _ in range(steps):
        made.optimizer.step()
        if made.scheduler is not None:
            made.scheduler.step()
    return made


def resumed(old: Any, new: Any) -> Any:
    with changes_kept(new, old.config):
        new.load_state_dict(old.state_dict())
    return new


def group_of(made: Any) -> dict[str, Any]:
    (group,) = made.optimizer.param_groups
    return dict(group)


def cosine(**settings: Any) -> Any:
    return build(lr_scheduler.CosineAnnealingLR, **{"T_max": 10, **settings})


def chain(kind: type[LRScheduler], step_size: int, **settings: Any) -> Any:
    inner = [
        build(lr_scheduler.ConstantLR, factor=0.5, total_iters=2),
        build(lr_scheduler.StepLR, step_size=step_size),
    ]
    return build(kind, schedulers=inner, **settings)


def test_nothing_changed_loads_the_state_as_it_is() -> None:
    old = trained(model(cosine()))
    new = resumed(old, model(cosine()))
    assert new.optimizer.state_dict() == old.optimizer.state_dict()
    assert new.scheduler.state_dict() == old.scheduler.state_dict()


def test_state_wins_over_what_was_built_where_nothing_changed() -> None:
    old = model(weight_decay=0.5)
    old.optimizer.param_groups[0]["lr"] = 0.025  # As a callback might.
    new = resumed(old, model(weight_decay=0.5))
    assert group_of(new)["lr"] == 0.025


def test_learning_rate_changes_without_a_scheduler() -> None:
    new = resumed(trained(model()), model(lr=0.01))
    assert group_of(new)["lr"] == 0.01
    assert "initial_lr" not in group_of(new)


def test_learning_rate_keeps_the_scale_that_the_scheduler_gave_it() -> None:
    old = trained(model(cosine()))
    new = resumed(old, model(cosine(), lr=0.01))
    assert group_of(new)["initial_lr"] == 0.01
    assert group_of(new)["lr"] == pytest.approx(group_of(old)["lr"] / 10)
    assert new.scheduler.base_lrs == [0.01]


def test_learning_rate_that_was_zero_has_no_scale_to_keep() -> None:
    new = resumed(trained(model(cosine(), lr=0.0)), model(cosine(), lr=0.2))
    assert group_of(new)["lr"] == group_of(new)["initial_lr"] == 0.2


def test_weight_decay_changes_and_momentum_stays() -> None:
    old = trained(model(weight_decay=0.1, momentum=0.9))
    new = resumed(old, model(weight_decay=0.2, momentum=0.9))
    assert (group_of(new)["weight_decay"], group_of(new)["momentum"]) == (0.2, 0.9)


def test_setting_taken_away_is_the_default_again() -> None:
    new = resumed(trained(model(weight_decay=0.1)), model())
    assert group_of(new)["weight_decay"] == 0


def test_scheduler_goes_on_counting_under_changed_settings() -> None:
    new = resumed(trained(model(cosine())), model(cosine(T_max=20, eta_min=0.01)))
    assert (new.scheduler.T_max, new.scheduler.eta_min) == (20, 0.01)
    assert new.scheduler.last_epoch == 3


def test_milestones_change_in_the_form_that_the_scheduler_keeps_them() -> None:
    old = trained(model(build(lr_scheduler.MultiStepLR, milestones=[5, 9])))
    new = model(build(lr_scheduler.MultiStepLR, milestones=[4, 6]))
    assert resumed(old, new).scheduler.milestones == Counter([4, 6])
    assert group_of(trained(new, 1))["lr"] == pytest.approx(0.01)


def test_settings_of_chained_schedulers_change() -> None:
    kind = lr_scheduler.SequentialLR
    old = trained(model(chain(kind, 3, milestones=[2])))
    new = resumed(old, model(chain(kind, 7, milestones=[2])))
    _, step = new.scheduler._schedulers
    assert step.step_size == 7
    assert step.last_epoch == 1
    assert new.scheduler.last_epoch == 3


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (lr_scheduler.SequentialLR, {"milestones": [2]}),
        (lr_scheduler.ChainedScheduler, {}),
    ],
)
def test_learning_rate_reaches_chained_schedulers(
    kind: type[LRScheduler], settings: dict[str, Any]
) -> None:
    old = trained(model(chain(kind, 3, **settings)))
    new = resumed(old, model(chain(kind, 3, **settings), lr=0.01))
    assert [each.base_lrs for each in new.scheduler._schedulers] == [[0.01]] * 2
    assert group_of(new)["lr"] == pytest.approx(group_of(old)["lr"] / 10)


def test_settings_that_a_scheduler_keeps_with_the_optimizer_change() -> None:
    def one_cycle(max_lr: float) -> Any:
        return build(lr_scheduler.OneCycleLR, max_lr=max_lr, total_steps=30)

    old = trained(model(one_cycle(0.5), momentum=0.9))
    new = trained(resumed(old, model(one_cycle(1.0), momentum=0.9)), 2)
    anew = trained(model(one_cycle(1.0), momentum=0.9), 5)
    assert group_of(new)["max_lr"] == 1.0
    assert group_of(new)["lr"] == pytest.approx(group_of(anew)["lr"])
    assert group_of(new)["momentum"] == pytest.approx(group_of(anew)["momentum"])


def test_changes_elsewhere_leave_optimizers_alone() -> None:
    old = trained(model(cosine()))
    old.optimizer.param_groups[0]["weight_decay"] = 0.5
    new = model(cosine())
    with changes_kept(new, old.config.override({"scheduler_every": "2 steps"})):
        new.load_state_dict(old.state_dict())
    assert group_of(new)["weight_decay"] == 0.5


def test_scheduler_of_an_optimizer_outside_of_the_tree_keeps_its_change() -> None:
    class Alone(Module):
        def __init__(self, scheduler: Any) -> None:
            self.scheduler = scheduler

    def alone(step_size: int) -> Alone:
        optimizer = torch.optim.SGD(torch.nn.Linear(2, 1).parameters(), lr=0.1)
        return Alone(build(lr_scheduler.StepLR, step_size=step_size)(optimizer))

    new = resumed(alone(3), alone(4))
    assert new.scheduler.step_size == 4
