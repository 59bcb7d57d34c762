from __future__ import annotations

import torch
from torch.utils.data import DataLoader as TorchLoader

from ptutils.data.dataset import Dataset
from ptutils.data.readers.array import ArrayReader
from ptutils.data.readers.reader import DataReader, Sample
from ptutils.data.transforms import Noise, Shift
from tests.data.samples import images, numbers


class Doubled(Dataset):
    def __getitem__(self, index: int) -> Sample:
        inputs, targets = super().__getitem__(index)
        return inputs * 2, targets


def test_an_item_is_a_tuple_of_tensors() -> None:
    inputs, target = numbers()[3]
    assert (inputs.tolist(), target.item()) == ([3.0], 3)


def test_a_call_gets_an_item() -> None:
    assert torch.equal(numbers()(3)[0], numbers()[3][0])


def test_a_dataset_is_as_long_as_its_reader() -> None:
    assert len(numbers(7)) == 7


class Endless(DataReader):
    def __len__(self) -> int:
        return 2

    def read(self, index: int) -> Sample:
        return torch.tensor(index), torch.tensor(0)


def test_iterating_ends_where_the_reader_does_not() -> None:
    assert [int(inputs) for inputs, _ in Dataset(Endless())] == [0, 1]


def test_several_items_are_those_that_are_got_one_by_one() -> None:
    dataset = images()
    several = dataset.__getitems__([3, 1])
    assert torch.equal(several[0][0], dataset[3][0])
    assert torch.equal(several[1][1], dataset[1][1])


def test_transforms_apply_in_order() -> None:
    def double(inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return inputs * 2

    def increment(inputs: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return inputs + 1

    assert numbers(transform=[double, increment])[3][0].item() == 7


def test_an_item_of_its_own_draws_from_the_stream_of_torch() -> None:
    dataset = images(transform=Noise(1.0))
    torch.manual_seed(3)
    first, second = dataset[0][0], dataset.__getitems__([0])[0][0]
    torch.manual_seed(3)
    assert torch.equal(dataset[0][0], first)
    assert not torch.equal(first, second)


def test_a_sample_draws_from_its_generator() -> None:
    dataset = images(transform=[Shift(1), Noise(1.0)])
    twice = [dataset.sample(0, torch.Generator().manual_seed(3))[0] for _ in range(2)]
    assert torch.equal(*twice)


def test_a_loader_of_torch_gets_what_a_subclass_overrides() -> None:
    dataset = Doubled(numbers().reader)
    inputs, _ = next(iter(TorchLoader(dataset, batch_size=2)))
    assert inputs.flatten().tolist() == [0.0, 2.0]


def test_a_dataset_of_arrays_is_read_whole() -> None:
    assert numbers().is_read_whole()


def test_a_dataset_with_a_transform_is_not_read_whole() -> None:
    assert not numbers(transform=Noise()).is_read_whole()


def test_a_reader_that_reads_one_by_one_is_not_read_whole() -> None:
    class Negated(ArrayReader):
        def read(self, index: int) -> Sample:
            return -super().read(index)[0], torch.tensor(index)

    assert not Dataset(Negated([1.0], [0])).is_read_whole()


def test_a_reader_that_overrides_both_is_read_whole() -> None:
    class Constant(DataReader):
        def read(self, index: int) -> Sample:
            return torch.zeros(()), torch.zeros(())

        def read_batch(self, indices: list[int]) -> Sample:
            return torch.zeros(len(indices)), torch.zeros(len(indices))

    assert Dataset(Constant()).is_read_whole()
