"""Samplers: the order of an epoch, as a function of seed and epoch alone.

An order is an array, so continuing at any position is a slice and replays nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptutils.core.module import Module

__all__ = ["Order", "Sampler", "SequentialSampler", "ShuffledSampler"]

Order = NDArray[np.int64]
"""Indices into a dataset, in the order in which they are read: shape ``(count,)``."""

_MASK = (1 << 64) - 1


class Sampler(Module):
    """The contract: fill :meth:`order`, and :meth:`count` if it is not the length."""

    def __call__(self, epoch: int, length: int) -> Order:
        """Return :meth:`order`."""
        return self.order(epoch, length)

    def order(self, epoch: int, length: int) -> Order:
        """Return the indices to read in one epoch; the same for the same arguments.

        Args:
            epoch: Counted from 0.
            length: How many samples the dataset has.
        """
        raise NotImplementedError(f"{type(self).__qualname__} defines no order()")

    def count(self, length: int) -> int:
        """Return how many indices an order over ``length`` samples has."""
        return length


class SequentialSampler(Sampler):
    """Every sample once, in the order of the dataset."""

    def order(self, epoch: int, length: int) -> Order:
        """Return ``0 .. length - 1``."""
        return np.arange(length)


class ShuffledSampler(Sampler):
    """Every sample once, in an order of its own for each seed and epoch.

    Args:
        seed: Taken modulo 2**64.

    Example:
        >>> ShuffledSampler(seed=0).order(epoch=0, length=5).tolist()
        [0, 2, 1, 4, 3]

    Source:
        Philox: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". Its
        raw output is fixed for all versions of numpy (NEP 19), unlike ``permutation``;
        hence the order is that which sorts it.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def order(self, epoch: int, length: int) -> Order:
        """Return a permutation of ``0 .. length - 1``."""
        key = np.array([self.seed & _MASK, epoch], dtype=np.uint64)
        return np.argsort(np.random.Philox(key=key).random_raw(length), kind="stable")
