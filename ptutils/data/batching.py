"""Reading one batch: the keyed randomness of its samples, and faults that name them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Protocol, TypeGuard, runtime_checkable

import torch
from torch.utils.data import TensorDataset, default_collate, get_worker_info

from ptutils.data.dataset import Dataset
from ptutils.data.keys import (
    is_keyed,
    kept_streams,
    sample_key,
    seed_streams,
    stream_of,
)
from ptutils.data.sampler import Order
from ptutils.errors import DataError
from ptutils.meta.values import Value

__all__ = ["BatchReader", "MapDataset", "Task"]

Task = tuple[int, Order]
"""What one batch is: its epoch and the indices of its samples."""


@runtime_checkable
class MapDataset(Protocol):
    """What can be read from: a Dataset of ptutils, or any map-style one of torch."""

    def __len__(self) -> int:
        """Return how many samples there are."""

    def __getitem__(self, index: int, /) -> Any:
        """Return one sample."""


class BatchReader:
    """Turn tasks into batches, in the training process or in a worker.

    A batch depends on the seed and its task alone. There are three ways to read it:
    a Dataset without transforms is read in one go; one with transforms sample by
    sample, each with a generator seeded with its key; and what may draw from the global
    streams has these seeded with that key before each sample. In the training process
    they are given back afterwards, so that training draws as if no data were read.
    A dataset that holds a random generator of its own cannot be keyed.

    Args:
        dataset: What to read.
        seed: The seed of its samples' randomness.
        path: The dataset's name in errors.
    """

    def __init__(self, dataset: MapDataset, *, seed: int, path: str = "") -> None:
        self.dataset: Any = dataset
        self.read: Callable[[Task], Value] = self._read_each
        self._seed = seed
        self._path = path
        self._generator = torch.Generator()
        self._get: Callable[[int], Value] = dataset.__getitem__
        self._draws_globally = not _leaves_streams_alone(dataset)
        self._rekey: list[Callable[[int], object]] = []
        if self._draws_globally:
            self._rekey.append(seed_streams)
        if _is_ours(dataset):
            self._get = self._get_ours
            if dataset.transform is not None:
                self._rekey.append(self._generator.manual_seed)
            if dataset.is_read_whole() and not self._draws_globally:
                self.read = self._read_whole

    def __getitems__(self, task: Task) -> Value:
        """Return the batch of a task, or the DataError that says why there is none.

        Called in a worker by torch, which would flatten an error that is raised.
        """
        try:
            return self.read(task)
        except DataError as error:
            if error.__cause__ is not None:  # It is lost on the way between processes.
                error.add_note("".join(traceback.format_exception(error.__cause__)))
            return error

    def _read_whole(self, task: Task) -> Value:
        try:
            return self.dataset.reader.read_batch(task[1])
        except Exception as error:
            raise self._fault(f"read samples {_few(task[1])}", error) from error

    def _read_each(self, task: Task) -> Value:
        is_training_process = get_worker_info() is None
        with kept_streams() if self._draws_globally and is_training_process else _FREE:
            samples = self._samples(*task)
        try:
            batch = default_collate(samples)
        except Exception as error:
            raise self._fault(f"stack samples {_few(task[1])}", error) from error
        # torch turns tuples into lists; a batch is a tuple however it was read.
        return tuple(batch) if type(samples[0]) is tuple else batch

    def _samples(self, epoch: int, indices: Order) -> list[Value]:
        stream = stream_of(self._seed, epoch)
        todo = iter(indices.tolist())
        get = self._get
        try:
            if not self._rekey:
                return [get(index) for index in todo]
            return [self._get_keyed(stream, index) for index in todo]
        except Exception as error:
            failed = indices[-1 - len(list(todo))]
            raise self._fault(f"read sample {failed}", error) from error

    def _get_keyed(self, stream: int, index: int) -> Value:
        key = sample_key(stream, index)
        for seed in self._rekey:
            seed(key)
        return self._get(index)

    def _get_ours(self, index: int) -> Value:
        return self.dataset.sample(index, self._generator)

    def _fault(self, what: str, error: Exception) -> DataError:
        return DataError(
            f"cannot {what} of {type(self.dataset).__qualname__}",
            path=self._path,
            got=f"{type(error).__name__}: {error}",
            fix="mend the dataset; its own traceback is shown with this error",
        )


_FREE = nullcontext()


def _is_ours(dataset: object) -> TypeGuard[Dataset]:
    return (
        isinstance(dataset, Dataset)
        and type(dataset).__getitem__ is Dataset.__getitem__
    )


def _leaves_streams_alone(dataset: Any) -> bool:
    if type(dataset) is TensorDataset:  # Indexes tensors; a subclass may do more.
        return True
    parts = [dataset.reader, *dataset.transforms()] if _is_ours(dataset) else []
    return all(is_keyed(part) for part in (dataset, *parts))


def _few(indices: Order) -> str:
    return ", ".join(map(str, indices[:8].tolist())) + ", ..." * (len(indices) > 8)
