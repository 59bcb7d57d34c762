"""A tiny experiment with everything that has state, for the tests of the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torchmetrics.regression import MeanAbsoluteError

import ptutils
from ptutils.core.building.builder import build
from ptutils.core.callback import Callback
from ptutils.core.loop.schedule import Schedule
from ptutils.core.model import Model
from ptutils.core.trainer import Trainer
from ptutils.data.loader import DataLoader
from ptutils.data.provider import DataProvider

STEPS_PER_EPOCH = 4
"""Seven samples in batches of two; the last batch has one."""

TRIGGERS = (
    "before_looper",
    "before_epoch",
    "before_fit",
    "before_fit_batch",
    "start_of_training_step",
    "before_gradient",
    "after_gradient",
    "before_update",
    "after_update",
    "end_of_training_step",
    "after_fit_batch",
    "after_fit",
    "before_validate",
    "before_validate_batch",
    "before_loss",
    "after_loss",
    "after_validate_batch",
    "after_validate",
    "after_epoch",
    "after_looper",
)
"""Every trigger of the default loop, in the order in which an epoch raises them."""

Log = list[tuple[Any, ...]]


def data(length: int = 7) -> ptutils.Dataset:
    inputs = torch.linspace(-1, 1, 3 * length).reshape(length, 3)
    return ptutils.Dataset(ptutils.ArrayReader(inputs, inputs.sum(1, keepdim=True)))


def provider(**settings: Any) -> DataProvider:
    loaders = {
        "train": DataLoader(batch_size=2, shuffle=True, **settings),
        "valid": DataLoader(batch_size=2),
    }
    return DataProvider({"train": data(), "valid": data(5)}, loaders, seed=1)


def net() -> torch.nn.Module:
    """A net with dropout, so that the position of the random stream counts."""
    return torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1)
    )


def model(**changes: Any) -> Model:
    settings: dict[str, Any] = {
        "criterion": torch.nn.MSELoss(),
        "optimizer": build(torch.optim.SGD, lr=0.01, momentum=0.9),
        "device": "cpu",
    }
    return Model(changes.pop("net", None) or net(), **{**settings, **changes})


def trainer(*callbacks: Any, looper: Any = None, **changes: Any) -> Trainer:
    torch.manual_seed(0)
    chosen = {"metrics": {"error": MeanAbsoluteError()}, **changes}
    return Trainer(model(**chosen), looper=looper, callbacks=list(callbacks))


def train(made: Trainer, duration: str = "1 epoch", **settings: Any) -> str:
    """Train on the tiny data; ``settings`` are the Schedule's."""
    return made.train(provider(), schedule=Schedule(duration, **settings))


def reacting(trigger: str, react: Callable[..., Any], **declared: Any) -> Callback:
    """Make a callback of one handler; ``declared`` are its class's attributes."""
    kind = type("Reacting", (Callback,), {trigger: staticmethod(react), **declared})
    made: Callback = kind()
    return made


class Witness(Callback):
    """Notes every trigger of the default loop with the counters it saw."""

    def __init__(self) -> None:
        self.log: Log = []

    def seen(self, *triggers: str) -> Log:
        return [entry for entry in self.log if not triggers or entry[0] in triggers]


def _noting(trigger: str) -> Callable[..., None]:
    def note(self: Witness, step: int, epoch: int) -> None:
        self.log.append((trigger, step, epoch))

    return note


for _trigger in TRIGGERS:
    setattr(Witness, _trigger, _noting(_trigger))
