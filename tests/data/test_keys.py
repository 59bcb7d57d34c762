from __future__ import annotations

import random

import numpy as np
import torch

from ptutils.data.dataset import Dataset
from ptutils.data.keys import (
    is_keyed,
    kept_streams,
    sample_key,
    seed_streams,
    stream_of,
)
from ptutils.data.transforms import Noise
from tests.data.samples import Foreign


def draws() -> tuple[float, float, float]:
    return torch.rand(()).item(), float(np.random.rand()), random.random()  # noqa: S311


def test_keys_are_the_outputs_of_splitmix64() -> None:
    # The reference implementation, started at 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [sample_key(1234567, index) for index in range(3)] == expected


def test_keys_differ_by_seed_epoch_and_index() -> None:
    keys = {
        sample_key(stream_of(seed, epoch), index) & 0xFFFFFFFF
        for seed in range(5)
        for epoch in range(5)
        for index in range(40)
    }
    assert len(keys) == 1000


def test_a_key_never_changes_between_versions() -> None:
    assert sample_key(stream_of(3, 4), 5) == 6664265022721631417


def test_every_int_is_a_seed() -> None:
    assert 0 <= sample_key(stream_of(-1, 0), 0) < 2**64
    assert 0 <= sample_key(stream_of(2**70, 0), 0) < 2**64


def test_streams_seeded_with_one_key_draw_the_same_again() -> None:
    with kept_streams():
        seed_streams(2**63 + 5)
        first = draws()
        seed_streams(2**63 + 5)
        assert draws() == first


def test_streams_seeded_with_one_key_differ_from_each_other() -> None:
    with kept_streams():
        seed_streams(2**63 + 5)
        assert len(set(draws())) == 3


def test_kept_streams_are_given_back_after_an_error() -> None:
    def fail() -> None:
        with kept_streams():
            seed_streams(1)
            raise KeyError

    with kept_streams():
        seed_streams(9)
        expected = draws()
        seed_streams(9)
        try:
            fail()
        except KeyError:
            assert draws() == expected


def test_a_class_says_itself_that_it_is_keyed() -> None:
    assert is_keyed(Noise())
    assert not is_keyed(Foreign())
    assert not is_keyed(object())


def test_a_subclass_that_overrides_what_reads_must_say_it_again() -> None:
    class Louder(Noise):
        def apply(
            self, inputs: torch.Tensor, generator: torch.Generator
        ) -> torch.Tensor:
            return inputs

    class Declared(Louder):
        is_keyed = True

    assert not is_keyed(Louder())
    assert is_keyed(Declared())


def test_a_subclass_that_overrides_nothing_stays_keyed() -> None:
    class Named(Dataset):
        pass

    assert is_keyed(Named.__new__(Named))
