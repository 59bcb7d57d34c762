from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptutils.data.sampler import Sampler, SequentialSampler, ShuffledSampler

GOLDEN = [2, 5, 9, 7, 3, 0, 6, 8, 4, 1, 11, 10]


@given(st.integers(), st.integers(0, 2**32), st.integers(0, 200))
def test_a_shuffled_order_is_a_permutation(seed: int, epoch: int, length: int) -> None:
    order = ShuffledSampler(seed).order(epoch, length)
    assert sorted(order.tolist()) == list(range(length))


def test_orders_differ_by_seed_and_by_epoch() -> None:
    orders = {
        tuple(ShuffledSampler(seed).order(epoch, 50).tolist())
        for seed in range(10)
        for epoch in range(10)
    }
    assert len(orders) == 100


def test_an_order_never_changes_between_versions() -> None:
    assert ShuffledSampler(7).order(3, 12).tolist() == GOLDEN


def test_an_order_is_the_same_in_another_process() -> None:
    code = (
        "from ptutils.data.sampler import ShuffledSampler;"
        "print(ShuffledSampler(7).order(3, 12).tolist())"
    )
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == str(GOLDEN)


def test_a_sequential_order_is_that_of_the_dataset() -> None:
    assert SequentialSampler()(4, 3).tolist() == [0, 1, 2]


def test_an_order_has_as_many_indices_as_the_dataset_by_default() -> None:
    assert Sampler().count(3) == 3


def test_a_sampler_without_an_order_says_so() -> None:
    sampler = Sampler()
    with pytest.raises(NotImplementedError, match=r"Sampler defines no order\(\)"):
        sampler(0, 3)
