"""Datasets that the tests of data loading share."""

from __future__ import annotations

import random

import numpy as np
import torch

from ptutils.data.dataset import Dataset
from ptutils.data.loader import DataLoader
from ptutils.data.readers.array import ArrayReader


def numbers(length: int = 10, **settings: object) -> Dataset:
    """A dataset whose inputs and targets say their index."""
    inputs = torch.arange(length, dtype=torch.float32).reshape(-1, 1)
    return Dataset(ArrayReader(inputs, torch.arange(length)), **settings)


def images(length: int = 10, **settings: object) -> Dataset:
    """A dataset of images of 4 x 4 pixels."""
    inputs = torch.arange(length * 16, dtype=torch.float32).reshape(-1, 1, 4, 4)
    return Dataset(ArrayReader(inputs, torch.arange(length)), **settings)


class Foreign:
    """A map-style dataset that draws from all three global streams."""

    def __init__(self, length: int = 10) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[float, float, float, int]:
        drawn = torch.rand(()).item(), random.random(), np.random.rand()  # noqa: S311
        return (*drawn, index)


class Faulty:
    """A dataset in which one sample cannot be read."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> int:
        if index == 7:
            raise ValueError("bad pixel")
        return index


def targets(batches: object) -> list[list[int]]:
    """What each batch's last tensor holds: here, the indices of its samples."""
    return [batch[-1].tolist() for batch in batches]


def tensors(batches: object) -> list[torch.Tensor]:
    """All tensors of all batches."""
    return [tensor for batch in batches for tensor in batch]


def are_equal(ours: object, theirs: object) -> bool:
    """Compare batches bit by bit."""
    ours, theirs = tensors(ours), tensors(theirs)
    pairs = zip(ours, theirs, strict=False)
    return len(ours) == len(theirs) and all(torch.equal(a, b) for a, b in pairs)


def loader_of(length: int = 10, **settings: object) -> DataLoader:
    """A shuffled loader of numbers in batches of 3, unless told otherwise."""
    chosen = {"batch_size": 3, "shuffle": True, "seed": 5} | settings
    return DataLoader(numbers(length), **chosen)
