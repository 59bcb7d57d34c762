"""Dataset: samples by index, read through a reader and changed by transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch

from ptutils.core.module import Module
from ptutils.data.readers.reader import DataReader, Sample
from ptutils.data.transforms import Transform

__all__ = ["Dataset", "Transformation"]

Transformation: TypeAlias = (
    Transform | Callable[[torch.Tensor, torch.Generator], torch.Tensor]
)


class Dataset(Module):
    """Samples by index: ``dataset[3]`` is a tuple ``(inputs, targets)`` of tensors.

    Any map-style dataset of torch may be used in its place. A subclass that overrides
    ``__getitem__`` is treated like one, unless its class says ``is_keyed = True``: that
    it draws from no global stream of random numbers.

    Args:
        reader: Where the samples come from.
        transform: What changes their inputs: one, or a list that is applied in order.
    """

    is_keyed = True  # This class; its reader and transforms speak for themselves.

    def __init__(
        self,
        reader: DataReader,
        *,
        transform: Transformation | Sequence[Transformation] | None = None,
    ) -> None:
        self.reader = reader
        self.transform = transform

    def __call__(self, index: int) -> Sample:
        """Return ``self[index]``."""
        return self[index]

    def __len__(self) -> int:
        """Return how many samples there are."""
        return len(self.reader)

    def __iter__(self) -> Iterator[Sample]:
        """Yield each sample once: a reader need not refuse an index past its end."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Sample:
        """Return sample ``index``, transformed with randomness from torch's stream.

        A DataLoader of ptutils calls :meth:`sample` instead, and never that stream.
        """
        if self.transform is None:
            return self.reader.read(index)
        seed = int(torch.randint(2**32, ()).item())
        return self.sample(index, torch.Generator().manual_seed(seed))

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Return several samples; read together where :meth:`is_read_whole`."""
        if not self.is_read_whole():
            return [self[index] for index in indices]
        inputs, targets = self.reader.read_batch(indices)
        return list(zip(inputs, targets, strict=True))

    def sample(self, index: int, generator: torch.Generator) -> Sample:
        """Return sample ``index``, transformed with randomness from ``generator``."""
        inputs, targets = self.reader.read(index)
        for transform in self.transforms():
            inputs = transform(inputs, generator)
        return inputs, targets

    def transforms(self) -> Sequence[Transformation]:
        """Return what changes the inputs, in order."""
        transform = self.transform
        if transform is None:
            return ()
        return transform if isinstance(transform, Sequence) else (transform,)

    def is_read_whole(self) -> bool:
        """Tell whether the reader may read a batch at once, with no step per sample.

        That is so without transforms, and if nobody overrode a step that reading at
        once would skip.
        """
        kind = type(self)
        return (
            self.transform is None
            and kind.__getitem__ is Dataset.__getitem__
            and kind.sample is Dataset.sample
            and _reads_batches(type(self.reader))
        )


def _reads_batches(kind: type[DataReader]) -> bool:
    """Tell whether ``read_batch`` was written for this ``read``, or for one above."""
    owner = {
        name: next(base for base in kind.__mro__ if name in vars(base))
        for name in ("read", "read_batch")
    }
    return issubclass(owner["read_batch"], owner["read"])
