from __future__ import annotations

import pytest
import torch

from ptutils.data.transforms import Noise, Shift, Transform
from ptutils.errors import ConfigError

IMAGE = torch.arange(1.0, 17.0).reshape(1, 4, 4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_shift_moves_the_image_and_fills_with_zeros() -> None:
    padded = torch.nn.functional.pad(IMAGE, (1, 1, 1, 1))
    views = [padded[:, y : y + 4, x : x + 4] for y in range(3) for x in range(3)]
    shifted = Shift(1)(IMAGE, generator())
    assert any(torch.equal(shifted, view) for view in views)


def test_shifts_reach_every_place() -> None:
    shift = Shift(1)
    seen = {tuple(shift(IMAGE, generator(s)).flatten().tolist()) for s in range(99)}
    assert len(seen) == 9


def test_a_shift_by_nothing_changes_nothing() -> None:
    assert torch.equal(Shift(0)(IMAGE, generator()), IMAGE)


def test_noise_has_the_standard_deviation_asked_for() -> None:
    noisy = Noise(0.5)(torch.zeros(10_000), generator())
    assert abs(noisy.std().item() - 0.5) < 0.02


def test_noise_keeps_shape_and_dtype_and_its_input() -> None:
    inputs = torch.zeros(2, 3, dtype=torch.float64)
    noisy = Noise(0.5)(inputs, generator())
    assert (noisy.shape, noisy.dtype) == (inputs.shape, inputs.dtype)
    assert inputs.sum() == 0


@pytest.mark.parametrize("transform", [Shift(1), Noise(0.1)])
def test_a_transform_is_a_function_of_its_generator(transform: Transform) -> None:
    first = transform(IMAGE, generator(3))
    assert torch.equal(transform(IMAGE, generator(3)), first)
    assert not torch.equal(transform(IMAGE, generator(8)), first)


@pytest.mark.parametrize(("kind", "name"), [(Shift, "pixels"), (Noise, "std")])
def test_a_negative_amount_is_refused(kind: type[Transform], name: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot build a transform at '{name}'"):
        kind(-1)


def test_a_transform_without_apply_says_so() -> None:
    transform = Transform()
    with pytest.raises(NotImplementedError, match=r"Transform defines no apply\(\)"):
        transform(IMAGE, generator())
