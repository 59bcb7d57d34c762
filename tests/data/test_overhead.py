"""Data loading costs no more calls than PyTorch's, which are a deterministic count."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Iterable

import torch
from torch.utils.data import DataLoader as TorchLoader
from torch.utils.data import TensorDataset

from ptutils.data.loader import DataLoader
from tests.data.samples import numbers

NUM_BATCHES = 100


def calls_per_batch(loader: Iterable[object]) -> float:
    profile = cProfile.Profile()
    profile.enable()
    for _ in loader:
        pass
    profile.disable()
    return pstats.Stats(profile).total_calls / NUM_BATCHES


def test_a_dataset_of_torch_is_read_with_at_most_its_own_calls() -> None:
    dataset = TensorDataset(torch.arange(8 * NUM_BATCHES))
    theirs = calls_per_batch(TorchLoader(dataset, batch_size=8))
    assert calls_per_batch(DataLoader(dataset, batch_size=8)) <= theirs


def test_a_dataset_in_memory_is_read_with_ten_calls_per_batch() -> None:
    dataset = numbers(8 * NUM_BATCHES)
    assert calls_per_batch(DataLoader(dataset, batch_size=8, shuffle=True)) <= 10
