"""A small experiment on real data with everything that has state, for several tests."""

from __future__ import annotations

from ptutils.meta.config import Config
from ptutils.meta.values import Value

STEPS_PER_EPOCH = 6
"""1347 training digits in batches of 256."""


def config(**changes: Value) -> Config:
    """Return its config; ``changes`` are dotted paths with ``__`` for the dots."""
    base = Config(
        {
            "class": "Session",
            "experiment": "test",
            "seed": 3,
            "dbinterface": {"class": "MemoryInterface"},
            "progress": False,
            "schedule": {
                "class": "Schedule",
                "duration": "3 epochs",
                "validate": "1 epoch",
                "checkpoint": "1 step",
            },
            "dataprovider": {
                "class": "DataProvider",
                "datasets": {
                    "train": {
                        "class": "Digits",
                        "split": "train",
                        "transform": [
                            {"class": "Shift", "pixels": 1},
                            {"class": "Noise", "std": 0.1},
                        ],
                    },
                    "valid": {"class": "Digits", "split": "valid"},
                },
                "loaders": {
                    "train": {
                        "class": "DataLoader",
                        "batch_size": 256,
                        "shuffle": True,
                        "num_workers": 0,
                    },
                    "valid": {"class": "DataLoader", "batch_size": 100},
                },
            },
            "trainer": {
                "class": "Trainer",
                "model": {
                    "class": "Model",
                    "net": {
                        "class": "torch.nn.Sequential",
                        "args": [
                            {"class": "torch.nn.Flatten"},
                            {
                                "class": "torch.nn.Linear",
                                "in_features": 64,
                                "out_features": 32,
                            },
                            {"class": "torch.nn.BatchNorm1d", "num_features": 32},
                            {"class": "torch.nn.ReLU"},
                            {"class": "torch.nn.Dropout", "p": 0.3},
                            {
                                "class": "torch.nn.Linear",
                                "in_features": 32,
                                "out_features": 10,
                            },
                        ],
                    },
                    "criterion": {"class": "torch.nn.CrossEntropyLoss"},
                    "optimizer": {
                        "class": "torch.optim.AdamW",
                        "lr": 0.01,
                        "betas": [0.9, 0.98],
                    },
                    "scheduler": {
                        "class": "torch.optim.lr_scheduler.CosineAnnealingLR",
                        "T_max": 60,
                    },
                    "scheduler_every": "1 step",
                    "metrics": {
                        "accuracy": {
                            "class": "torchmetrics.classification.MulticlassAccuracy",
                            "num_classes": 10,
                            "average": "micro",
                        }
                    },
                    "device": "cpu",
                },
                "callbacks": [
                    {"class": "NaNDetector"},
                    {
                        "class": "EarlyStopping",
                        "metric": "valid.loss",
                        "patience": 50,
                    },
                ],
            },
        }
    )
    return base.override(
        {path.replace("__", "."): value for path, value in changes.items()}
    )
