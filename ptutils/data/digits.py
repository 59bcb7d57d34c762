"""Digits: scikit-learn's handwritten digits, split once and for all."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Literal

import numpy as np

from ptutils.data.dataset import Dataset, Transformation
from ptutils.data.readers.array import ArrayReader
from ptutils.data.sampler import ShuffledSampler
from ptutils.errors import ConfigError, DataError, nearest

__all__ = ["Digits"]

_SPLITS = {
    "train": slice(0, 1347),
    "valid": slice(1347, 1572),
    "test": slice(1572, 1797),
}


class Digits(Dataset):
    """1,797 images of handwritten digits, 8 x 8 pixels, that scikit-learn ships.

    Inputs are float32 of shape ``(1, 8, 8)`` within [0, 1], targets int64 of shape
    ``()``. The file is read once per process; scikit-learn itself is not imported.

    Args:
        split: ``"train"`` (1,347 samples), ``"valid"`` (225) or ``"test"`` (225).
        transform: As for Dataset.
        seed: Of the permutation that is split.

    Raises:
        ConfigError: If the split is unknown.
        DataError: If scikit-learn is not installed.

    Source:
        Alpaydin and Kaynak 1998, "Optical recognition of handwritten digits", UCI.
    """

    def __init__(
        self,
        split: Literal["train", "valid", "test"] = "train",
        *,
        transform: Transformation | list[Transformation] | None = None,
        seed: int = 0,
    ) -> None:
        if split not in _SPLITS:
            near = nearest(str(split), _SPLITS)
            raise ConfigError(
                "cannot build Digits",
                path="split",
                expected=f"one of {', '.join(_SPLITS)}",
                got=repr(split),
                fix=f"did you mean {near!r}?" if near else "",
            )
        super().__init__(_reader(split, seed), transform=transform)
        self.split = split
        self.seed = seed


@functools.cache
def _reader(split: str, seed: int) -> ArrayReader:
    table = _table()
    rows = ShuffledSampler(seed).order(0, len(table))[_SPLITS[split]]
    inputs = table[rows, :64].reshape(-1, 1, 8, 8) / np.float32(16)
    return ArrayReader(inputs, table[rows, 64].astype(np.int64))


@functools.cache
def _table() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    # Importing sklearn takes a second or two; its file is found without.
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError(
            "cannot read the digits",
            expected="scikit-learn, which ships them, to be installed",
            fix="pip install scikit-learn",
        )
    path = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    return np.loadtxt(path, delimiter=",", dtype=np.float32)
