"""DataLoader: batches in a fixed order, from the exact position that was consumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ptutils.core.module import Module
from ptutils.data.batching import BatchReader, MapDataset, Task
from ptutils.data.sampler import Order, Sampler, SequentialSampler, ShuffledSampler
from ptutils.data.workers import Workers
from ptutils.errors import ConfigError, DataError, StateMismatchError
from ptutils.meta.values import Value

__all__ = ["Batches", "DataLoader"]

_SEQUENTIAL = SequentialSampler()


class DataLoader(Module):
    """Read a dataset in batches; know the epoch and the batches consumed in it.

    ``for batch in loader`` continues at ``loader.state``: an epoch, and a position that
    counts the batches handed out in it, never those read ahead. When the last batch has
    been consumed and the loop ends, the next epoch begins at position 0. Batches depend
    on seed, epoch and position alone; the number of workers changes nothing. No stream
    of random numbers but the loader's own is drawn from.

    Args:
        dataset: What to read; in a DataProvider the name of one of its datasets, or
            None for the one of the loader's own name.
        batch_size: Samples per batch.
        shuffle: Read each epoch in an order of its own.
        seed: Of order and augmentation; the DataProvider's by default, or 0.
        num_workers: Processes that read ahead; 0 reads in the training process.
        drop_last: Leave out a last batch that is not full.
        sampler: Another order than ``shuffle`` can give.

    Raises:
        ConfigError: If a number is out of range, or ``shuffle`` meets ``sampler``.
    """

    def __init__(
        self,
        dataset: MapDataset | str | None = None,
        *,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int | None = None,
        num_workers: int = 0,
        drop_last: bool = False,
        sampler: Sampler | None = None,
    ) -> None:
        _check(batch_size=(batch_size, 1), num_workers=(num_workers, 0))
        if shuffle and sampler is not None:
            raise ConfigError(
                "cannot both shuffle and sample",
                path="shuffle",
                expected="shuffle=False beside a sampler",
                got=f"shuffle=True and {type(sampler).__qualname__}",
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.num_workers = num_workers
        self.drop_last = drop_last
        self.sampler = sampler
        self.state.update(epoch=0, position=0, layout={})
        self._bound: _Bound | None = None

    def __call__(self) -> Iterator[Value]:
        """Return ``iter(self)``."""
        return iter(self)

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return _num_batches(**self._layout())

    def __iter__(self) -> Iterator[Value]:
        """Yield the rest of the epoch that the state is in, then begin the next.

        Raises:
            DataError: If a batch cannot be read.
            StateMismatchError: If the state lies inside an epoch of other batches.
        """
        self._settle()
        state = self.state
        epoch, position = state["epoch"], state["position"]
        for batch in self.batches(epoch, position):
            position += 1
            # Past State.__setitem__, which looks into each value: this is a hot loop.
            dict.__setitem__(state, "position", position)
            yield batch
        state.update(epoch=epoch + 1, position=0)

    def batches(
        self, epoch: int = 0, start: int = 0, *, indices: Sequence[int] | None = None
    ) -> Batches:
        """Return the batches of an epoch; leaves the state alone, can be read again.

        Args:
            epoch: Decides order and augmentation.
            start: How many batches to skip, at no cost.
            indices: Read these samples, in this order, instead of the sampler's.
        """
        return Batches(self, epoch, start, indices)

    def order(self, epoch: int) -> Order:
        """Return the indices of an epoch's samples, as they fill batch after batch.

        Raises:
            DataError: If the sampler does not keep to its own count.
        """
        bound = self._binding()
        sampler = self.sampler
        if sampler is None:
            sampler = ShuffledSampler(bound.seed) if self.shuffle else _SEQUENTIAL
        order = sampler.order(epoch, len(bound.reader.dataset))
        if len(order) != self._layout()["samples"]:
            raise DataError(
                f"cannot read in the order of {type(sampler).__qualname__}",
                path=bound.path,
                expected=f"{self._layout()['samples']} indices, as its count() says",
                got=str(len(order)),
                fix="let order() and count() agree",
            )
        return order

    def bind(self, dataset: MapDataset, *, seed: int = 0, path: str = "") -> None:
        """Say what to read, for a loader that was made without; called by DataProvider.

        Args:
            dataset: What to read.
            seed: For a loader that has none of its own.
            path: The dataset's name in errors.

        Raises:
            DataError: If the dataset is not a map-style one.
        """
        if not isinstance(dataset, MapDataset):
            raise DataError(
                "cannot read from this dataset",
                path=path,
                expected="a map-style dataset, with __getitem__ and __len__",
                got=type(dataset).__qualname__,
            )
        seed = seed if self.seed is None else self.seed
        self._bound = _Bound(dataset, seed=seed, path=path)

    def _before_save(self) -> None:
        if self._has_dataset() and self.state.position == 0:
            self.state.layout = self._layout()

    def _after_load(self) -> None:
        if self._has_dataset():
            self._settle()

    def _has_dataset(self) -> bool:
        return self._bound is not None or not isinstance(self.dataset, str | None)

    def _settle(self) -> None:
        """Check that the position counts batches as they are now, and note how.

        The config says that too, but a run may be branched with another one.
        """
        state, now = self.state, self._layout()
        if state.position and state.layout and state.layout != now:
            if state.position != _num_batches(**state.layout):
                raise StateMismatchError(
                    f"cannot continue epoch {state.epoch} at batch {state.position}",
                    path=self._binding().path,
                    expected=f"batches as when it was saved: {_listed(state.layout)}",
                    got=_listed(now),
                    fix="keep these settings until the epoch ends, or continue from a "
                    "checkpoint at the end of an epoch",
                )
            state.position = _num_batches(**now)  # That epoch was complete.
        state.layout = now

    def _layout(self) -> dict[str, Value]:
        length = len(self._binding().reader.dataset)
        return {
            "samples": length if self.sampler is None else self.sampler.count(length),
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
        }

    def _binding(self) -> _Bound:
        own = self.dataset
        bound = None if self._bound is None else self._bound.reader.dataset
        if own is not None and not isinstance(own, str) and own is not bound:
            self.bind(own)
        if self._bound is None:
            raise DataError(
                "cannot read from a loader without a dataset",
                expected="a dataset, or a DataProvider that has one for it",
                got=f"dataset={own!r}",
                fix="pass DataLoader(dataset, ...) or put it into a DataProvider",
            )
        return self._bound


@dataclass(frozen=True)
class Batches:
    """The batches of one epoch from some position on; can be iterated many times."""

    loader: DataLoader
    epoch: int
    start: int
    indices: Sequence[int] | None

    def __len__(self) -> int:
        """Return how many batches are left from the start on."""
        return max(self._total() - self.start, 0)

    def __iter__(self) -> Iterator[Value]:
        """Read the batches.

        Raises:
            DataError: If one cannot be read, or there is none in the whole epoch.
        """
        return self.loader._binding().read(self._tasks(), self.loader.num_workers)

    def _total(self) -> int:
        if self.indices is None:
            return len(self.loader)
        return -(-len(self.indices) // self.loader.batch_size)

    def _tasks(self) -> Iterator[Task]:
        size, total = self.loader.batch_size, self._total()
        if total == 0 and self.indices is None:
            raise DataError(
                "cannot read an epoch without batches",
                path=self.loader._binding().path,
                expected="at least one batch",
                got=_listed(self.loader._layout()),
                fix="choose a smaller batch_size or drop_last=False",
            )
        epoch, chosen = self.epoch, self.indices
        order = self.loader.order(epoch) if chosen is None else chosen
        order = np.asarray(order, dtype=np.int64)
        starts = range(self.start * size, total * size, size)
        return ((epoch, order[at : at + size]) for at in starts)


class _Bound:
    """What a loader reads: the dataset it was bound to, and workers once started."""

    def __init__(self, dataset: MapDataset, *, seed: int, path: str) -> None:
        self.reader = BatchReader(dataset, seed=seed, path=path)
        self.seed = seed
        self.path = path
        self._workers: Workers | None = None

    def read(self, tasks: Iterator[Task], num_workers: int) -> Iterator[Value]:
        if num_workers == 0:
            return map(self.reader.read, tasks)
        if self._workers is None:
            self._workers = Workers(self.reader, num_workers)
        return self._workers.run(tasks)


def _num_batches(samples: int, batch_size: int, drop_last: bool) -> int:
    return samples // batch_size if drop_last else -(-samples // batch_size)


def _listed(layout: Mapping[str, Value]) -> str:
    return ", ".join(f"{name}={value}" for name, value in layout.items())


def _check(**bounds: tuple[int, int]) -> None:
    for name, (value, least) in bounds.items():
        if value < least:
            raise ConfigError(
                "cannot build a DataLoader",
                path=name,
                expected=f"an int of at least {least}",
                got=repr(value),
            )
