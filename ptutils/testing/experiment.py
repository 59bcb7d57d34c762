"""A tiny experiment: sixteen points on one line, two epochs of four steps."""

from __future__ import annotations

from typing import Final

import torch

from ptutils.core.dbinterface import DBInterface
from ptutils.core.session import Session
from ptutils.data.readers.reader import DataReader
from ptutils.meta.registry import register
from ptutils.meta.values import Value

__all__ = ["STEPS_PER_EPOCH", "Line", "experiment"]

STEPS_PER_EPOCH: Final = 4


@register(name="testing.Line")
class Line(DataReader):
    """Points on a line."""

    def __init__(self, count: int = 16) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, request: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return one point: input and target, each of shape (1,)."""
        place = torch.tensor([request / self.count])
        return place, 2 * place - 1


def experiment(
    db: DBInterface,
    *,
    lr: float = 0.1,
    duration: str = "2 epochs",
    width: int = 3,
    keep: Value = None,
) -> Session:
    """Return a Session that saves after every step.

    Args:
        db: Where it is kept.
        lr: The learning rate.
        duration: How long it trains.
        width: Of the hidden layer; the State has about 20 times as many bytes.
        keep: Which checkpoints to keep, as the Schedule takes it.
    """
    layers = [
        {"class": "torch.nn.Linear", "in_features": 1, "out_features": width},
        {"class": "torch.nn.Dropout", "p": 0.1},
        {"class": "torch.nn.Linear", "in_features": width, "out_features": 1},
    ]
    config = {
        "class": "Session",
        "progress": False,
        "dbinterface": None,
        "schedule": {
            "class": "Schedule",
            "duration": duration,
            "validate": None,
            "checkpoint": "1 step",
            "keep": keep,
        },
        "dataprovider": {
            "class": "DataProvider",
            "datasets": {
                "train": {"class": "Dataset", "reader": {"class": "testing.Line"}}
            },
            "loaders": {
                "train": {"class": "DataLoader", "batch_size": 4, "shuffle": True}
            },
        },
        "trainer": {
            "class": "Trainer",
            "model": {
                "class": "Model",
                "net": {"class": "torch.nn.Sequential", "args": layers},
                "criterion": {"class": "torch.nn.MSELoss"},
                "optimizer": {"class": "torch.optim.SGD", "lr": lr, "momentum": 0.9},
                "device": "cpu",
            },
        },
    }
    session: Session = Session.from_meta(config=config)
    session.dbinterface = db
    return session
