from __future__ import annotations

import numpy as np
import pytest
import torch

from ptutils.data.readers.array import ArrayReader
from ptutils.data.readers.reader import DataReader, Sample
from ptutils.errors import DataError


class Squares(DataReader):
    def __len__(self) -> int:
        return 4

    def read(self, index: int) -> Sample:
        return torch.tensor(float(index)), torch.tensor(index**2)


def test_a_call_reads() -> None:
    assert Squares()(3)[1].item() == 9


def test_a_reader_stacks_what_it_reads_one_by_one() -> None:
    inputs, targets = Squares().read_batch([3, 1])
    assert inputs.tolist() == [3.0, 1.0]
    assert targets.tolist() == [9, 1]


def test_an_array_reader_reads_several_as_it_reads_one() -> None:
    reader = ArrayReader(np.arange(6.0).reshape(3, 2), np.array([4, 5, 6]))
    inputs, targets = reader.read_batch([2, 0])
    assert torch.equal(inputs, torch.stack([reader.read(2)[0], reader.read(0)[0]]))
    assert targets.tolist() == [6, 4]


def test_changing_a_sample_leaves_the_arrays_alone() -> None:
    reader = ArrayReader(torch.zeros(2, 1), torch.zeros(2))
    reader.read(0)[0].add_(1)
    reader.read_batch([0, 1])[0].add_(1)
    assert reader.inputs.sum() == 0


def test_an_array_reader_takes_arrays_that_are_read_only_or_reversed() -> None:
    inputs = np.arange(3.0)[::-1]
    inputs.flags.writeable = False
    assert ArrayReader(inputs, [0, 0, 0]).inputs.tolist() == [2.0, 1.0, 0.0]


def test_an_array_reader_shares_the_memory_of_tensors() -> None:
    inputs = torch.zeros(2)
    assert ArrayReader(inputs, inputs).inputs is inputs


def test_inputs_and_targets_of_unequal_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="cannot pair inputs with targets"):
        ArrayReader([1, 2], [1])


def test_a_reader_without_length_says_so() -> None:
    reader = DataReader()
    with pytest.raises(NotImplementedError, match=r"DataReader defines no __len__\(\)"):
        len(reader)


def test_a_reader_without_read_says_so() -> None:
    reader = DataReader()
    with pytest.raises(NotImplementedError, match=r"DataReader defines no read\(\)"):
        reader.read(0)
