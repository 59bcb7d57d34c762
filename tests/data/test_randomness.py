"""The laws of data loading: any number of workers, any position, the same bits."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.utils.data import Subset

from ptutils.data.dataset import Dataset
from ptutils.data.loader import DataLoader
from ptutils.data.readers.array import ArrayReader
from ptutils.data.readers.reader import Sample
from ptutils.data.transforms import Noise, Shift, Transform
from tests.data.samples import Foreign, are_equal, images


class DrawingReader(ArrayReader):
    def read(self, index: int) -> Sample:
        inputs, target = super().read(index)
        return inputs + np.random.rand(), target


class DrawingTransform(Transform):
    def apply(self, inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return inputs + torch.rand(()) + random.random()  # noqa: S311


class Declared(Foreign):
    is_keyed = True


DATASETS = {
    "keyed": lambda: images(transform=[Shift(1), Noise(0.5)]),
    "foreign": Foreign,
    "subset": lambda: Subset(images(transform=Noise(0.5)), list(range(9))),
    "reader": lambda: Dataset(DrawingReader(torch.zeros(10), torch.arange(10))),
    "transform": lambda: images(transform=[DrawingTransform(), Noise(0.1)]),
}
each_dataset = pytest.mark.parametrize("kind", DATASETS)


def loader_of(kind: str, num_workers: int = 0, seed: int = 5) -> DataLoader:
    settings = {"batch_size": 3, "shuffle": True, "seed": seed}
    return DataLoader(DATASETS[kind](), num_workers=num_workers, **settings)


def streams() -> tuple[object, ...]:
    drawn = np.random.get_state()
    return (
        torch.get_rng_state().tolist(),
        drawn[1].tolist(),
        *drawn[2:],
        random.getstate(),
    )


@each_dataset
def test_workers_change_nothing(kind: str) -> None:
    alone, helped = loader_of(kind), loader_of(kind, num_workers=2)
    for _ in range(2):
        assert are_equal(list(alone), list(helped))


@each_dataset
@pytest.mark.parametrize("num_workers", [0, 2])
def test_reading_leaves_the_global_streams_alone(kind: str, num_workers: int) -> None:
    before = streams()
    list(loader_of(kind, num_workers))
    assert streams() == before


@each_dataset
def test_randomness_differs_by_sample_epoch_and_seed(kind: str) -> None:
    loader, other = loader_of(kind), loader_of(kind, seed=6)
    everything = [
        batch[0]
        for source in (loader, other)
        for epoch in range(3)
        for batch in source.batches(epoch, indices=[0])
    ]
    assert len({tuple(drawn.flatten().tolist()) for drawn in everything}) == 6


@each_dataset
def test_every_position_is_continued_bit_by_bit(kind: str) -> None:
    loader = loader_of(kind)
    expected = list(loader.batches(0)) + list(loader.batches(1))
    states = [loader.state_dict().copy()] + [
        {"state": dict(loader.state)} for _ in loader
    ]
    for position, state in enumerate(states[1:], start=1):
        resumed = loader_of(kind)
        resumed.load_state_dict(state)
        rest = list(resumed) + list(resumed)
        assert are_equal(rest, expected[position:])


@pytest.mark.parametrize(("saved_with", "resumed_with"), [(0, 2), (2, 0), (2, 1)])
@pytest.mark.parametrize("position", [1, 3, 4])
def test_the_number_of_workers_may_change_on_resuming(
    saved_with: int, resumed_with: int, position: int
) -> None:
    saved = loader_of("keyed", saved_with)
    resumed = loader_of("keyed", resumed_with)
    expected = list(resumed.batches(0)) + list(resumed.batches(1))
    batches = iter(saved)
    for _ in range(position):
        next(batches)
    resumed.load_state_dict(saved.state_dict())
    assert are_equal(list(resumed) + list(resumed), expected[position:])


def test_randomness_of_a_sample_is_that_of_its_index() -> None:
    loader = loader_of("keyed")
    alone = next(iter(loader.batches(2, indices=[4])))[0]
    among = next(iter(loader.batches(2, indices=[9, 4])))[0]
    assert torch.equal(alone[0], among[1])


def test_a_dataset_that_says_it_is_keyed_is_left_to_itself() -> None:
    before = streams()
    list(DataLoader(Declared()))
    assert streams() != before
