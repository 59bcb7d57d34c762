"""NaNDetector fails before a bad gradient reaches the weights."""

from __future__ import annotations

import pytest
import torch

from ptutils.callbacks.nan_detector import NaNDetector
from ptutils.errors import ConfigError, DivergenceError
from tests.core.training import model, train, trainer


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_loss_that_is_not_finite_fails_before_the_update(value: float) -> None:
    made = trainer(
        NaNDetector(), criterion=lambda outputs, _: outputs.exp().sum() * value
    )
    before = [weight.detach().clone() for weight in made.model.net.parameters()]
    with pytest.raises(DivergenceError, match="in step 1") as caught:
        train(made)
    assert f"got:      {float(value)}" in str(caught.value)
    assert all(map(torch.equal, before, made.model.net.parameters()))


def test_finite_losses_pass() -> None:
    assert train(trainer(NaNDetector())) == ""


def test_it_looks_at_every_so_many_th_step_only() -> None:
    detector, bad = NaNDetector(every=3), torch.tensor(torch.nan)
    for step in (1, 2):
        detector.after_gradient(bad, model(), step)
    with pytest.raises(DivergenceError, match="in step 4"):
        detector.after_gradient(bad, model(), 3)


def test_never_looking_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot look at the loss that often"):
        NaNDetector(every=0)
