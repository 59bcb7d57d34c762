from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from ptutils.data import digits
from ptutils.data.digits import Digits
from ptutils.data.transforms import Noise
from ptutils.errors import ConfigError, DataError


def whole(split: str, **settings: int) -> tuple[torch.Tensor, torch.Tensor]:
    reader = Digits(split, **settings).reader
    return reader.inputs, reader.targets


def test_the_splits_hold_every_digit_of_scikit_learn_once() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    inputs, targets = datasets.load_digits(return_X_y=True)
    expected = {(*row, t) for row, t in zip(inputs / 16, targets, strict=True)}
    parts = [whole(split) for split in ("train", "valid", "test")]
    ours = torch.cat([part[0] for part in parts]).flatten(1).tolist()
    labels = torch.cat([part[1] for part in parts]).tolist()
    assert len(ours) == len(inputs) == 1797
    assert {(*row, t) for row, t in zip(ours, labels, strict=True)} == expected


def test_digits_have_the_shapes_and_dtypes_that_are_documented() -> None:
    inputs, target = Digits("valid")[0]
    assert (inputs.shape, inputs.dtype) == ((1, 8, 8), torch.float32)
    assert (target.shape, target.dtype) == ((), torch.int64)
    assert (whole("train")[0].min(), whole("train")[0].max()) == (0.0, 1.0)


def test_splits_have_the_lengths_that_are_documented() -> None:
    lengths = [len(Digits(split)) for split in ("train", "valid", "test")]
    assert lengths == [1347, 225, 225]


def test_a_split_never_changes_between_versions() -> None:
    assert whole("train")[1][:12].tolist() == [2, 4, 5, 4, 8, 2, 0, 6, 3, 3, 2, 6]


def test_another_seed_splits_otherwise() -> None:
    assert not torch.equal(whole("valid")[0], whole("valid", seed=1)[0])


def test_digits_are_read_once_per_process() -> None:
    assert Digits("valid").reader is Digits("valid", transform=Noise()).reader


def test_reading_digits_leaves_the_global_streams_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    digits._reader.cache_clear()
    Digits("test")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


def test_reading_digits_does_not_import_scikit_learn() -> None:
    code = (
        "import sys; from ptutils.data.digits import Digits; Digits();"
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_split_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'valid'"):
        Digits("validate")


def test_digits_without_scikit_learn_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(digits.importlib.util, "find_spec", lambda name: None)
    digits._table.cache_clear()
    with pytest.raises(DataError, match="pip install scikit-learn"):
        digits._table()
