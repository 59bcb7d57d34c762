"""A step costs few calls more than the loop that people write by hand.

Both loops train equal nets with equal optimizers on the same samples in memory, and
nothing else. The bare one iterates PyTorch's DataLoader over a TensorDataset and does
nothing but zero_grad, forward, loss, backward and step: it records no loss. Ours
iterates our DataLoader and has History on, without callbacks; all that is done once per
training is counted too. Our own dataset reads a batch in one go, which saves calls, so
it is done with PyTorch's dataset as well. Last, what the loop itself costs is counted
against a bare loop over our loader, without what is done once.
"""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader as TorchLoader
from torch.utils.data import TensorDataset

import ptutils
from ptutils.core.building.builder import build
from ptutils.core.loop.schedule import Schedule
from ptutils.core.model import Model
from ptutils.core.trainer import Trainer

NUM_STEPS = 200
BATCH_SIZE = 4
MOST_EXTRA = 15

INPUTS = torch.randn(
    NUM_STEPS * BATCH_SIZE, 4, generator=torch.Generator().manual_seed(0)
)
TENSORS = TensorDataset(INPUTS, INPUTS.sum(1, keepdim=True))


def net() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)
    )


def num_calls(train: Callable[[], object]) -> int:
    profile = cProfile.Profile()
    profile.enable()
    train()
    profile.disable()
    return int(pstats.Stats(profile).total_calls)


def bare_loop(loader: Any) -> Callable[[], None]:
    module, criterion = net(), torch.nn.MSELoss()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)

    def train() -> None:
        module.train()
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = criterion(module(inputs), targets)
            loss.backward()
            optimizer.step()

    return train


def our_loop(dataset: Any, duration: str = "1 epoch") -> Callable[[], object]:
    loader = ptutils.DataLoader(batch_size=BATCH_SIZE)
    provider = ptutils.DataProvider({"train": dataset}, {"train": loader})
    optimizer = build(torch.optim.SGD, lr=0.01)
    model = Model(
        net(), criterion=torch.nn.MSELoss(), optimizer=optimizer, device="cpu"
    )
    schedule = Schedule(duration, validate=None)
    return lambda: Trainer(model).train(provider, schedule=schedule)


@pytest.mark.parametrize(
    "dataset",
    [ptutils.Dataset(ptutils.ArrayReader(*TENSORS.tensors)), TENSORS],
    ids=["our dataset", "torch's dataset"],
)
def test_a_step_costs_at_most_fifteen_calls_more(dataset: Any) -> None:
    bare = num_calls(bare_loop(TorchLoader(TENSORS, batch_size=BATCH_SIZE)))
    ours = num_calls(our_loop(dataset))

    assert (ours - bare) / NUM_STEPS <= MOST_EXTRA


def test_the_loop_itself_costs_at_most_ten_calls() -> None:
    dataset = ptutils.Dataset(ptutils.ArrayReader(*TENSORS.tensors))
    bare = num_calls(bare_loop(ptutils.DataLoader(dataset, batch_size=BATCH_SIZE)))
    one, two = (num_calls(our_loop(dataset, f"{n} epochs")) for n in (1, 2))

    assert (two - one - bare) / NUM_STEPS <= 10
