from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptutils.data.loader import DataLoader
from ptutils.data.sampler import Order, Sampler, SequentialSampler
from ptutils.errors import ConfigError, DataError, StateMismatchError
from tests.data.samples import Faulty, are_equal, images, loader_of, numbers, targets


def test_batches_hold_every_sample_once() -> None:
    batches = targets(loader_of(10))
    assert [len(batch) for batch in batches] == [3, 3, 3, 1]
    assert sorted(index for batch in batches for index in batch) == list(range(10))


def test_without_shuffling_the_order_is_that_of_the_dataset() -> None:
    assert targets(loader_of(5, shuffle=False)) == [[0, 1, 2], [3, 4]]


def test_drop_last_leaves_out_a_batch_that_is_not_full() -> None:
    loader = loader_of(10, drop_last=True)
    assert len(targets(loader)) == len(loader) == 3


def test_epochs_differ_in_order() -> None:
    loader = loader_of(10)
    assert targets(loader) != targets(loader)


def test_seeds_differ_in_order() -> None:
    assert targets(loader_of(10, seed=1)) != targets(loader_of(10, seed=2))


def test_a_call_iterates() -> None:
    assert targets(loader_of()()) == targets(loader_of())


def test_the_position_counts_the_batches_handed_out() -> None:
    loader = loader_of(10)
    positions = [loader.state.position for _ in loader]
    assert positions == [1, 2, 3, 4]


def test_the_next_epoch_begins_when_the_loop_ends() -> None:
    loader = loader_of(10)
    targets(loader)
    assert (loader.state.epoch, loader.state.position) == (1, 0)


def test_a_loop_that_is_left_half_way_is_continued() -> None:
    loader = loader_of(10)
    first = [next(iter(loader))[1].tolist() for _ in range(2)]
    assert first + targets(loader) == targets(loader.batches(0))


def test_batches_leave_the_position_alone() -> None:
    loader = loader_of(10)
    next(iter(loader))
    targets(loader.batches(4))
    assert (loader.state.epoch, loader.state.position) == (0, 1)


def test_batches_can_be_read_again() -> None:
    batches = loader_of(10).batches(2, start=1)
    assert targets(batches) == targets(batches)
    assert len(batches) == len(targets(batches)) == 3


def test_batches_from_a_start_past_the_end_are_none() -> None:
    batches = loader_of(10).batches(0, start=9)
    assert (len(batches), targets(batches)) == (0, [])


def test_chosen_indices_are_read_in_their_order() -> None:
    batches = loader_of(10).batches(indices=[7, 7, 1, 4])
    assert len(batches) == 2
    assert targets(batches) == [[7, 7, 1], [4]]


def test_any_map_style_dataset_may_be_read() -> None:
    dataset = torch.utils.data.TensorDataset(torch.arange(4), torch.arange(4))
    assert targets(DataLoader(dataset, batch_size=2)) == [[0, 1], [2, 3]]


def test_a_sampler_of_ones_own_gives_the_order() -> None:
    class Backwards(Sampler):
        def order(self, epoch: int, length: int) -> Order:
            return SequentialSampler().order(epoch, length)[::-2].copy()

        def count(self, length: int) -> int:
            return (length + 1) // 2

    loader = loader_of(5, shuffle=False, sampler=Backwards())
    assert len(loader) == 1
    assert targets(loader) == [[4, 2, 0]]


def test_a_dataset_that_is_replaced_is_read_from_then_on() -> None:
    loader = loader_of(3, shuffle=False)
    loader.dataset = numbers(5)
    assert targets(loader) == [[0, 1, 2], [3, 4]]


def test_a_sampler_that_miscounts_is_refused() -> None:
    class Short(SequentialSampler):
        def count(self, length: int) -> int:
            return length + 1

    batches = loader_of(5, shuffle=False, sampler=Short()).batches()
    with pytest.raises(
        DataError, match=r"cannot read in the order of .*Short"
    ) as error:
        iter(batches)
    assert error.value.expected == "6 indices, as its count() says"


def test_no_chosen_indices_are_no_batches() -> None:
    assert targets(loader_of(5).batches(indices=[])) == []


def test_a_batch_is_a_tuple_however_it_is_read() -> None:
    whole, single = numbers(), images(transform=lambda inputs, generator: inputs)
    assert type(next(iter(DataLoader(whole)))) is tuple
    assert type(next(iter(DataLoader(single)))) is tuple


lengths = st.integers(1, 20)
sizes = st.integers(1, 7)


@given(lengths, sizes, st.booleans(), st.integers(0, 2), st.data())
def test_a_loader_continues_where_the_saved_one_was(
    length: int, size: int, drop_last: bool, epoch: int, data: st.DataObject
) -> None:
    size = min(size, length)
    settings = {"batch_size": size, "drop_last": drop_last}
    saved, resumed = loader_of(length, **settings), loader_of(length, **settings)
    position = data.draw(st.integers(0, len(saved)))
    expected = targets(saved.batches(epoch, position)) + targets(
        saved.batches(epoch + 1)
    )
    for _ in range(epoch):
        targets(saved)
    batches = iter(saved)
    for _ in range(position):
        next(batches)
    resumed.load_state_dict(saved.state_dict())
    assert targets(resumed) + targets(resumed) == expected


def test_a_state_taken_at_the_last_batch_has_an_empty_rest() -> None:
    saved, resumed = loader_of(10), loader_of(10)
    states = [dict(saved.state) for _ in saved]
    resumed.state.update(states[-1])
    assert resumed.state.position == len(resumed)
    assert targets(resumed) == []
    assert (resumed.state.epoch, resumed.state.position) == (1, 0)


def test_another_batch_size_inside_an_epoch_is_refused() -> None:
    saved, resumed = loader_of(10), loader_of(10, batch_size=4)
    next(iter(saved))
    state = saved.state_dict()
    with pytest.raises(StateMismatchError, match="samples=10, batch_size=4"):
        resumed.load_state_dict(state)


def test_another_length_inside_an_epoch_is_refused() -> None:
    loader = loader_of(10)
    next(iter(loader))
    loader.dataset = numbers(11)
    batches = iter(loader)
    with pytest.raises(StateMismatchError, match="cannot continue epoch 0 at batch 1"):
        next(batches)


def test_another_batch_size_after_a_complete_epoch_continues_with_the_next() -> None:
    saved, resumed = loader_of(10), loader_of(10, batch_size=4)
    batches = iter(saved)
    for _ in range(len(saved)):
        next(batches)
    resumed.load_state_dict(saved.state_dict())
    assert targets(resumed) == []
    assert targets(resumed) == targets(resumed.batches(1))


def test_another_batch_size_between_epochs_is_taken() -> None:
    saved, resumed = loader_of(10), loader_of(10, batch_size=4)
    targets(saved)
    resumed.load_state_dict(saved.state_dict())
    assert targets(resumed) == targets(resumed.batches(1))


def test_a_loader_and_its_state_are_rebuilt_from_their_meta() -> None:
    loader = loader_of(10)
    next(iter(loader))
    rebuilt = DataLoader.from_meta(**loader.to_meta())
    assert rebuilt.state_dict() == loader.state_dict()
    assert are_equal(rebuilt, loader)


def test_a_state_is_loaded_before_the_dataset_is_there() -> None:
    saved, resumed = loader_of(10), DataLoader(batch_size=3, shuffle=True, seed=5)
    next(iter(saved))
    resumed.load_state_dict(saved.state_dict())
    resumed.bind(numbers(10))
    assert are_equal(resumed, saved)


def test_a_loader_without_a_dataset_says_so() -> None:
    loader = DataLoader("train")
    with pytest.raises(DataError, match="cannot read from a loader without a dataset"):
        len(loader)


def test_a_dataset_that_is_not_map_style_is_refused() -> None:
    loader = DataLoader()
    with pytest.raises(DataError, match="cannot read from this dataset at 'here'"):
        loader.bind(iter([1, 2]), path="here")


def test_an_epoch_without_batches_is_refused() -> None:
    batches = loader_of(2, drop_last=True).batches()
    with pytest.raises(DataError, match="cannot read an epoch without batches"):
        iter(batches)


@pytest.mark.parametrize("setting", [{"batch_size": 0}, {"num_workers": -1}])
def test_a_number_out_of_range_is_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"at '{next(iter(setting))}'"):
        DataLoader(**setting)


def test_shuffling_beside_a_sampler_is_refused() -> None:
    sampler = SequentialSampler()
    with pytest.raises(ConfigError, match="cannot both shuffle and sample"):
        DataLoader(shuffle=True, sampler=sampler)


def test_a_sample_that_cannot_be_read_is_named() -> None:
    loader = DataLoader(Faulty(), batch_size=4)
    with pytest.raises(DataError, match="cannot read sample 7 of Faulty") as caught:
        targets(loader)
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.got == "ValueError: bad pixel"


def test_a_sample_that_stops_iterating_does_not_end_the_epoch() -> None:
    class Stopping(Faulty):
        def __getitem__(self, index: int) -> int:
            raise StopIteration

    loader = DataLoader(Stopping())
    with pytest.raises(DataError, match=r"cannot read sample 0 of .*Stopping"):
        targets(loader)


def test_samples_that_cannot_be_stacked_are_named() -> None:
    ragged = [torch.zeros(n) for n in range(12)]
    loader = DataLoader(ragged, batch_size=12)
    with pytest.raises(DataError, match=r"cannot stack samples 0, .*7, \.\.\. of list"):
        targets(loader)


def test_indices_that_cannot_be_read_whole_are_named() -> None:
    batches = loader_of(5).batches(indices=[1, 99])
    with pytest.raises(DataError, match="cannot read samples 1, 99 of Dataset"):
        targets(batches)


def test_a_loader_with_transforms_reads_images() -> None:
    loader = DataLoader(images(), batch_size=4)
    assert next(iter(loader))[0].shape == (4, 1, 4, 4)
