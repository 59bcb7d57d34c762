"""Samples that are already in memory, as arrays or tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ptutils.data.readers.reader import DataReader, Sample
from ptutils.data.sampler import Order
from ptutils.errors import DataError
from ptutils.meta.values import Value

__all__ = ["ArrayReader"]

Array = torch.Tensor | NDArray[np.generic] | list[Value]


class ArrayReader(DataReader):
    """Read from inputs and targets in memory; a batch is read in one go.

    Args:
        inputs: Samples along axis 0. Arrays and tensors are shared, not copied.
        targets: As many, along axis 0.

    Raises:
        DataError: If there are not as many targets as inputs.

    Example:
        >>> reader = ArrayReader([[0.5], [1.5]], [0, 1])
        >>> reader.read(1)
        (tensor([1.5000]), tensor(1))
    """

    is_keyed = True

    def __init__(self, inputs: Array, targets: Array) -> None:
        self.inputs = _tensor(inputs)
        self.targets = _tensor(targets)
        if self.inputs.shape[:1] != self.targets.shape[:1]:
            raise DataError(
                "cannot pair inputs with targets",
                expected=f"{tuple(self.inputs.shape)[:1]} targets, one for each input",
                got=f"targets of shape {tuple(self.targets.shape)}",
                fix="pass arrays whose first axes are equally long",
            )

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.inputs)

    def read(self, index: int) -> Sample:
        """Return copies of one input and one target."""
        return self.inputs[index].clone(), self.targets[index].clone()

    def read_batch(self, indices: Sequence[int] | Order) -> Sample:
        """Return copies of several inputs and targets, in the order of ``indices``."""
        rows = torch.as_tensor(indices, dtype=torch.int64)
        return self.inputs.index_select(0, rows), self.targets.index_select(0, rows)


def _tensor(values: Array) -> torch.Tensor:
    if isinstance(values, np.ndarray):
        # torch takes neither read-only arrays nor negative strides without a copy.
        values = np.require(values, requirements=["C", "W"])
    return torch.as_tensor(values)
