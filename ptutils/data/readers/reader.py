"""The contract of a reader: where the samples of a dataset come from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import default_collate

from ptutils.core.module import Module
from ptutils.data.sampler import Order
from ptutils.meta.values import Value

__all__ = ["DataReader", "Sample"]

Sample = tuple[torch.Tensor, torch.Tensor]
"""The inputs and the targets of one sample, or of a batch stacked along axis 0."""


class DataReader(Module):
    """Read samples by index from one format.

    Fill :meth:`read` and ``__len__``, and :meth:`read_batch` where reading many at once
    is faster. A reader whose :meth:`read` draws no random numbers says so with
    ``is_keyed = True`` in its class; it is then read in whole batches.
    """

    def __call__(self, index: int) -> Sample:
        """Return :meth:`read`."""
        return self.read(index)

    def __len__(self) -> int:
        """Return how many samples there are."""
        raise NotImplementedError(f"{type(self).__qualname__} defines no __len__()")

    def read(self, index: int) -> Sample:
        """Return sample ``index``; its tensors are the caller's to change."""
        raise NotImplementedError(f"{type(self).__qualname__} defines no read()")

    def read_batch(self, indices: Sequence[int] | Order) -> Sample:
        """Return several samples, stacked in the order of ``indices``."""
        batch: Value = default_collate([self.read(int(index)) for index in indices])
        return batch[0], batch[1]
