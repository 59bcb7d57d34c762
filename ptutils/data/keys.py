"""The randomness of one sample, as a function of (seed, epoch, index) alone.

Workers, prefetching, the position in an epoch and resuming cannot change a number that
depends on nothing else. Every sample of a pass has a *key* of 64 bits: the output
number ``index`` of a SplitMix64 generator that was started from the seed and the epoch.
Our transforms get a generator seeded with it; for code that draws from the global
streams of torch, random and numpy, those streams are seeded with it instead.

Source:
    SplitMix64: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
    generators", OOPSLA, figure 17; constants of mix64 variant 13.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["is_keyed", "kept_streams", "sample_key", "seed_streams", "stream_of"]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_VERBS = ("__getitem__", "read", "apply", "__call__")


def stream_of(seed: int, epoch: int) -> int:
    """Return where the keys of one epoch start: 64 bits mixed from seed and epoch."""
    return _mix(_mix(seed + _GOLDEN) + (epoch + 1) * _GOLDEN)


def sample_key(stream: int, index: int) -> int:
    """Return the key of sample ``index`` in a stream of :func:`stream_of`.

    The key has 64 bits; torch's CPU generator uses the lower 32 of them.

    Example:
        >>> hex(sample_key(0, 0))  # the first output of SplitMix64 started at 0
        '0xe220a8397b1dcdaf'
    """
    return _mix(stream + (index + 1) * _GOLDEN)


def seed_streams(key: int) -> None:
    """Seed the global streams of torch (CPU), random and numpy from one key.

    All three run the Mersenne twister, so each is started from other bits: torch from
    the lower 32, numpy from the upper 32, random from all 64.
    """
    torch.default_generator.manual_seed(key)
    np.random.seed(key >> 32)
    random.seed(key)


@contextmanager
def kept_streams() -> Iterator[None]:
    """Give the global streams back at the end as they were at the start."""
    kept = torch.default_generator.get_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.default_generator.set_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])


def is_keyed(part: object) -> bool:
    """Tell whether a dataset, reader or transform draws from no global stream.

    A class says so with ``is_keyed = True`` in its body. A subclass that overrides what
    reads or draws must say so again, because its new code may well draw.
    """
    for kind in type(part).__mro__:
        if "is_keyed" in vars(kind):
            return bool(vars(kind)["is_keyed"])
        if any(verb in vars(kind) for verb in _VERBS):
            return False
    return False


def _mix(value: int) -> int:
    value &= _MASK
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)
