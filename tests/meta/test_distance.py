"""How far arrays lie apart: every dtype, any strides, NaN and infinities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ptutils.meta import distance as module
from ptutils.meta.distance import Distance, distance, is_array

REAL = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn,
    torch.float8_e5m2, torch.int64, torch.int8, torch.uint8, torch.uint16, torch.bool,
]  # fmt: skip


def between(ours: object, theirs: object) -> Distance:
    found = distance(ours, theirs)[1]
    assert found is not None
    return found


@pytest.mark.parametrize("dtype", REAL, ids=str)
def test_tensors_of_every_real_dtype_are_measured(dtype: torch.dtype) -> None:
    ours = torch.tensor([0.0, 1.0, 1.0, 0.0]).to(dtype)
    theirs = torch.tensor([1.0, 0.0, 1.0, 0.0]).to(dtype)
    found = between(ours, theirs)
    assert (found.num_changed, found.num_elements) == (2, 4)
    assert (found.max_abs, found.norm) == (1.0, math.sqrt(2))
    assert found.relative == pytest.approx(1.0)
    assert found.cosine == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", [torch.complex32, torch.complex64, torch.complex128])
@pytest.mark.filterwarnings("ignore:ComplexHalf support")
def test_complex_elements_differ_by_their_modulus(dtype: torch.dtype) -> None:
    ours = torch.tensor([1 + 1j, 2j]).to(dtype)
    theirs = torch.tensor([4 + 5j, 2j]).to(dtype)
    found = between(ours, theirs)
    assert (found.num_changed, found.max_abs, found.norm) == (1, 5.0, 5.0)
    assert between(ours, ours.conj().resolve_conj()).max_abs == 4.0


def test_views_that_conjugate_or_negate_are_read_as_they_look() -> None:
    ours = torch.tensor([1 + 2j])
    assert distance(ours, ours.conj().conj())[0] == 0
    assert distance(ours.conj(), torch.tensor([1 - 2j]))[0] == 0
    assert distance(ours.conj().imag, torch.tensor([-2.0]))[0] == 0


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", ">f4", "i4", "u8", "?", "c16"])
def test_arrays_are_measured(dtype: str) -> None:
    ours, theirs = np.zeros(3, dtype=dtype), np.array([0, 1, 0], dtype=dtype)
    found = between(ours, theirs)
    assert (found.num_changed, found.max_abs, found.norm) == (1, 1.0, 1.0)
    assert found.relative == math.inf
    assert math.isnan(found.cosine)


@pytest.mark.parametrize("dtype", ["U3", "S3", "M8[s]", "i4,f4"])
def test_what_is_no_number_is_compared_by_its_bytes(dtype: str) -> None:
    ours = np.zeros(3, dtype=dtype)
    assert distance(ours, ours.copy()) == (0, None)
    theirs = ours.copy()
    theirs.view("u1")[:1] = 1
    assert distance(ours, theirs) == (1, None)
    empty = np.zeros(3, dtype="U0")
    assert distance(empty, empty) == (0, None)


def test_packed_numbers_are_compared_by_their_bytes() -> None:
    ours, theirs = (
        torch.tensor([1, number], dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
        for number in (2, 3)
    )
    assert distance(ours, ours) == (0, None)
    assert distance(ours, theirs) == (1, None)


def test_nan_on_both_sides_is_equal_and_on_one_is_counted_apart() -> None:
    ours = torch.tensor([math.nan, math.nan, 1.0, math.inf, 3.0])
    theirs = torch.tensor([math.nan, 2.0, math.nan, math.inf, 4.0])
    found = between(ours, theirs)
    assert (found.num_changed, found.num_nan) == (3, 2)
    assert (found.max_abs, found.norm) == (1.0, 1.0)
    assert found.cosine == 1.0


def test_an_infinity_is_infinitely_far_from_all_but_itself() -> None:
    found = between(np.array([math.inf, 1.0]), np.array([-math.inf, 1.0]))
    assert (found.num_changed, found.max_abs, found.norm) == (1, math.inf, math.inf)


def test_a_changed_bit_counts_where_the_value_is_the_same() -> None:
    found = between(torch.tensor([0.0]), torch.tensor([-0.0]))
    assert (found.num_changed, found.max_abs, found.relative) == (1, 0.0, 0.0)
    large = torch.tensor([2**60])
    assert between(large, large + 1).num_changed == 1


def test_values_are_compared_across_dtypes_and_libraries() -> None:
    ours = torch.tensor([1.0, 2.0, math.nan])
    assert between(ours, ours.bfloat16()).num_changed == 0
    assert between(ours, np.array([1.0, 2.5, math.nan])).num_changed == 1
    packed = torch.zeros(3, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    assert distance(ours, packed) == (3, None)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (100,), (7, 11), (2, 5, 9)])
def test_any_shape_and_strides_are_measured_block_by_block(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BLOCK", 10)
    ours = torch.randn(shape).double()
    theirs = ours.permute(tuple(reversed(range(ours.ndim)))).contiguous()
    theirs = theirs.permute(tuple(reversed(range(ours.ndim)))) + 0.5
    norm = 0.5 * math.sqrt(ours.numel())
    found = between(ours, theirs)
    assert found.norm == pytest.approx(norm)
    assert found.num_elements == found.num_changed == ours.numel()
    assert between(ours.numpy(), theirs.numpy()).norm == pytest.approx(norm)
    wanted = torch.nn.functional.cosine_similarity(ours.ravel(), theirs.ravel(), dim=0)
    if ours.numel():
        assert found.cosine == pytest.approx(float(wanted))


def test_what_has_no_dense_memory_is_no_array() -> None:
    eye = torch.eye(2)
    assert is_array(eye)
    assert is_array(np.float32(1))
    others = eye.to_sparse(), eye.to("meta"), np.array([object()]), [1.0], 1.0
    assert not any(map(is_array, others))
