"""Experiments that do not resume exactly, or do: a caller's own package."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn

import ptutils
from ptutils.meta.config import Config

TRUSTED = "tests.core.verification.inexact"


class Points(ptutils.DataReader):
    """Sixteen points on a line."""

    def __len__(self) -> int:
        return 16

    def read(self, request: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return one point: input and target."""
        place = torch.tensor([request / 16])
        return place, 2 * place - 1


class OwnNoise(nn.Module):
    """Dropout-like noise that no random stream of ours knows of."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Scale by a number that nobody can foretell."""
        return inputs * (1 + int.from_bytes(os.urandom(2), "little") / 2**16)


class Forgetful(ptutils.Callback):
    """Shrinks gradients by a counter that is not part of its state."""

    writes = ("gradients",)

    def __init__(self) -> None:
        self.count = 0

    def after_gradient(self, gradients: Any) -> dict[str, Any]:
        """Count, and shrink."""
        self.count += 1
        shrunk = {name: each / self.count for name, each in gradients.items()}
        return {"gradients": shrunk}


def config(*layers: Any, **changes: Any) -> Config:
    """Return a tiny experiment with further layers; ``changes`` are settings."""
    linear = {"class": "torch.nn.Linear", "in_features": 1, "out_features": 1}
    return Config(
        {
            "class": "Session",
            "schedule": {"duration": "6 steps", "validate": None},
            "dataprovider": {
                "class": "DataProvider",
                "datasets": {
                    "train": {
                        "class": "Dataset",
                        "reader": {"class": f"{TRUSTED}.Points"},
                    }
                },
                "loaders": {
                    "train": {"class": "DataLoader", "batch_size": 4, "shuffle": True}
                },
            },
            "trainer": {
                "class": "Trainer",
                "model": {
                    "class": "Model",
                    "net": {"class": "torch.nn.Sequential", "args": [linear, *layers]},
                    "criterion": {"class": "torch.nn.MSELoss"},
                    "optimizer": {"class": "torch.optim.SGD", "lr": 0.1},
                    "device": "cpu",
                },
            },
            **changes,
        }
    )
