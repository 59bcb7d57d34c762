"""Microseconds per step over the bare PyTorch loop, beside Lightning and ignite.

Run ``python benchmarks/step_overhead.py`` with the extra ``bench`` installed. All train
equal small nets on scikit-learn's digits with one thread. What a step costs is the time
of many epochs less that of few, so that nothing done once per training counts. The
loops take turns, and the median over the rounds is printed. The bare loop and the
peers iterate the same PyTorch DataLoader; ptutils iterates its own over a dataset of
its own ("ptutils") and over the peers' TensorDataset ("ptutils, torch's dataset"), with
History on. The peers log nothing, save nothing and draw no progress bar. ptutils'
loader costs less than PyTorch's: "by hand, ptutils' loader" tells how much of the gain
is its share, and that row against "ptutils" what the training loop alone costs.
"""

from __future__ import annotations

import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import ignite.engine
import lightning
import torch
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader as TorchLoader
from torch.utils.data import TensorDataset

import ptutils
from ptutils import build

BATCH_SIZE = 32
FEW, MANY = 1, 6
NUM_ROUNDS = 25
LEARNING_RATE = 0.01
BARE = "PyTorch by hand"

Train = Callable[[int], object]
"""Train anew for a number of epochs."""


def digits() -> TensorDataset:
    """Return all digits: 1,797 rows of 64 pixels, and their classes."""
    found = load_digits()
    inputs = torch.tensor(found.data, dtype=torch.float32) / 16
    return TensorDataset(inputs, torch.tensor(found.target))


def net() -> torch.nn.Module:
    """Return the small MLP that all train."""
    return torch.nn.Sequential(
        torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
    )


def by_hand(loader: Iterable[Any]) -> Train:
    """Return the loop that people write by hand."""

    def train(num_epochs: int) -> None:
        module, criterion = net(), torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.SGD(module.parameters(), lr=LEARNING_RATE)
        module.train()
        for _ in range(num_epochs):
            for inputs, targets in loader:
                optimizer.zero_grad()
                loss = criterion(module(inputs), targets)
                loss.backward()
                optimizer.step()

    return train


def with_ptutils(dataset: object) -> Train:
    """Return ptutils' Trainer, with History."""

    def train(num_epochs: int) -> None:
        loader = ptutils.DataLoader(batch_size=BATCH_SIZE, shuffle=True)
        provider = ptutils.DataProvider({"train": dataset}, {"train": loader})
        model = ptutils.Model(
            net(),
            criterion=torch.nn.CrossEntropyLoss(),
            optimizer=build(torch.optim.SGD, lr=LEARNING_RATE),
            device="cpu",
        )
        schedule = ptutils.Schedule(f"{num_epochs} epochs", validate=None)
        ptutils.Trainer(model).train(provider, schedule=schedule)

    return train


class LitNet(lightning.LightningModule):
    """The same net for Lightning."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()
        self.criterion = torch.nn.CrossEntropyLoss()

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss of a batch."""
        inputs, targets = batch
        loss: torch.Tensor = self.criterion(self.net(inputs), targets)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.SGD(self.parameters(), lr=LEARNING_RATE)


def with_lightning(loader: TorchLoader[object]) -> Train:
    """Return Lightning's Trainer with all that can be turned off turned off."""

    def train(num_epochs: int) -> None:
        trainer = lightning.Trainer(
            max_epochs=num_epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(LitNet(), loader)

    return train


def with_ignite(loader: TorchLoader[object]) -> Train:
    """Return ignite's supervised trainer."""

    def train(num_epochs: int) -> None:
        module = net()
        optimizer = torch.optim.SGD(module.parameters(), lr=LEARNING_RATE)
        trainer = ignite.engine.create_supervised_trainer(
            module, optimizer, torch.nn.CrossEntropyLoss()
        )
        trainer.run(loader, max_epochs=num_epochs)

    return train


def step_us(train: Train, num_batches: int) -> float:
    """Return microseconds per step: many epochs less few."""
    times = []
    for num_epochs in (FEW, MANY):
        start = time.perf_counter()
        train(num_epochs)
        times.append(time.perf_counter() - start)
    return (times[1] - times[0]) / ((MANY - FEW) * num_batches) * 1e6


def main() -> None:
    """Measure and print the table."""
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    tensors = digits()
    loader: TorchLoader[object] = TorchLoader(
        tensors, batch_size=BATCH_SIZE, shuffle=True
    )
    ours = ptutils.Dataset(ptutils.ArrayReader(*tensors.tensors))
    loops = {
        BARE: by_hand(loader),
        "by hand, ptutils' loader": by_hand(
            ptutils.DataLoader(ours, batch_size=BATCH_SIZE, shuffle=True)
        ),
        "ptutils": with_ptutils(ours),
        "ptutils, torch's dataset": with_ptutils(tensors),
        "ignite": with_ignite(loader),
        "Lightning": with_lightning(loader),
    }
    rounds = [
        {name: step_us(train, len(loader)) for name, train in loops.items()}
        for _ in range(NUM_ROUNDS)
    ]
    table = Table("loop", "µs per step", "over PyTorch by hand")
    for name in loops:
        whole = statistics.median(one[name] for one in rounds)
        extra = statistics.median(one[name] - one[BARE] for one in rounds)
        table.add_row(name, f"{whole:.1f}", f"{extra:+.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
