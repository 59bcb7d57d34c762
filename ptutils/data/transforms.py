"""Random changes to a sample's inputs; each draws from the generator it is given."""

from __future__ import annotations

from typing import TypeVar

import torch

from ptutils.core.module import Module
from ptutils.errors import ConfigError

__all__ = ["Noise", "Shift", "Transform"]

_Number = TypeVar("_Number", int, float)


class Transform(Module):
    """The contract: fill :meth:`apply`, and draw from its generator only.

    A class whose :meth:`apply` does so says ``is_keyed = True``. Any callable of
    ``(inputs, generator)`` may stand in for a Transform.
    """

    def __call__(
        self, inputs: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Return :meth:`apply`."""
        return self.apply(inputs, generator)

    def apply(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return changed inputs of one sample.

        Args:
            inputs: The inputs of one sample, of any shape.
            generator: The randomness of this sample in this epoch.
        """
        raise NotImplementedError(f"{type(self).__qualname__} defines no apply()")


class Shift(Transform):
    """Move images by a random whole number of pixels, filling with zeros.

    Args:
        pixels: The most that an image is moved along its last two axes, 0 or more.
    """

    is_keyed = True

    def __init__(self, pixels: int = 1) -> None:
        self.pixels = _not_negative("pixels", pixels)

    def apply(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return an image of the same shape ``(..., height, width)``."""
        by = self.pixels
        offset = torch.randint(0, 2 * by + 1, (2,), generator=generator)
        top, left = offset.tolist()
        padded = torch.nn.functional.pad(inputs, (by, by, by, by))
        height, width = inputs.shape[-2:]
        return padded[..., top : top + height, left : left + width]


class Noise(Transform):
    """Add independent normal noise.

    Args:
        std: Its standard deviation, in units of the inputs, 0 or more.
    """

    is_keyed = True

    def __init__(self, std: float = 0.1) -> None:
        self.std = _not_negative("std", std)

    def apply(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return inputs of the same shape and (floating) dtype."""
        noise = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)
        return inputs.add(noise, alpha=self.std)


def _not_negative(name: str, value: _Number) -> _Number:
    if value < 0:
        raise ConfigError(
            "cannot build a transform", path=name, expected="0 or more", got=repr(value)
        )
    return value
