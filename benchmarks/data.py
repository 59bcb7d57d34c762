"""Samples per second of ptutils' DataLoader beside PyTorch's, on the same data.

Run ``python benchmarks/data.py``. Each number is the best of several passes, which
alternate between the loaders; PyTorch and ptutils read the very same dataset object.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader as TorchLoader
from torch.utils.data import TensorDataset

import ptutils
from ptutils.data.transforms import Transform

NUM_SAMPLES = 12_800
BATCH_SIZE = 32
NUM_PASSES = 5

Loader = Iterable[object]


class Drawing(torch.utils.data.Dataset[torch.Tensor]):
    """A dataset of torch that draws from the global stream, as most do."""

    def __len__(self) -> int:
        return NUM_SAMPLES

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.rand(64)


def microseconds(loader: Loader) -> float:
    """Return the time per batch of one pass."""
    start = time.perf_counter()
    num_batches = sum(1 for _ in loader)
    return (time.perf_counter() - start) / num_batches * 1e6


def pairs() -> dict[str, tuple[Loader, Loader]]:
    """Return, by case, PyTorch's loader and ours."""
    inputs, targets = torch.rand(NUM_SAMPLES, 1, 8, 8), torch.arange(NUM_SAMPLES)
    reader = ptutils.ArrayReader(inputs, targets)
    chain: list[Transform] = [ptutils.Shift(1), ptutils.Noise(0.1)]
    datasets = {
        "Dataset in memory": ptutils.Dataset(reader),
        "Dataset, shift and noise": ptutils.Dataset(reader, transform=chain),
        "TensorDataset": TensorDataset(inputs, targets),
        "foreign, draws globally": Drawing(),
    }
    result: dict[str, tuple[Loader, Loader]] = {}
    for name, dataset in datasets.items():
        for num_workers in (0, 2):
            ours = ptutils.DataLoader(
                dataset, batch_size=BATCH_SIZE, shuffle=True, num_workers=num_workers
            )
            theirs: TorchLoader[object] = TorchLoader(
                dataset,  # type: ignore[arg-type]
                batch_size=BATCH_SIZE,
                shuffle=True,
                num_workers=num_workers,
                persistent_workers=num_workers > 0,
            )
            result[f"{name}, {num_workers}"] = (theirs, ours)
    return result


def main() -> None:
    """Measure and print the table."""
    torch.set_num_threads(1)
    table = Table(
        "dataset, workers", "torch µs/batch", "ptutils µs/batch", "ptutils samples/s"
    )
    for name, (theirs, ours) in pairs().items():
        times = [(microseconds(theirs), microseconds(ours)) for _ in range(NUM_PASSES)]
        torch_us, ours_us = (min(column) for column in zip(*times, strict=True))
        rate = BATCH_SIZE / ours_us * 1e6
        table.add_row(name, f"{torch_us:.1f}", f"{ours_us:.1f}", f"{rate:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
