"""The contract of the data side: what a Trainer needs of a DataProvider.

The one that reads with PyTorch is :class:`ptutils.data.provider.DataProvider`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from ptutils.meta.state import State
from ptutils.meta.values import Value

__all__ = ["Batches", "Loader", "Provider", "Request"]

Request = str | Mapping[str, Value]
"""The name of a split, or a dict: ``split``, and perhaps ``epoch``, ``start``,
``indices``."""


@runtime_checkable
class Batches(Protocol):
    """A known number of batches, read one after the other."""

    def __iter__(self) -> Iterator[Value]:
        """Yield batches."""

    def __len__(self) -> int:
        """Return how many there are in a whole pass."""


@runtime_checkable
class Loader(Batches, Protocol):
    """Batches with a position: iterating continues where the state says.

    ``state`` holds ``epoch`` and ``position``, the batches that were handed out in it.
    Right after the last batch the position equals ``len(loader)``; once the loop over
    the loader ends, the epoch is one more and the position 0. A state loaded at the
    last batch therefore gives an empty rest, and then the next epoch.
    """

    @property
    def state(self) -> State:
        """The position, live."""

    def batches(self, epoch: int = 0, start: int = 0) -> Batches:
        """Return batches of an epoch from ``start`` on, leaving the state alone."""


@runtime_checkable
class Provider(Protocol):
    """Answers requests for data."""

    loaders: Mapping[str, Loader]

    def provide(self, request: Request) -> Batches:
        """Return the batches asked for; those of a bare split name are its Loader."""

    def adopt_seed(self, seed: int) -> None:
        """Use ``seed`` for order and augmentation where none was chosen."""
