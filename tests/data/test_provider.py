from __future__ import annotations

from typing import Any

import pytest
from torch.utils.data import DataLoader as TorchLoader

from ptutils.data.loader import DataLoader
from ptutils.data.provider import DataProvider
from ptutils.errors import ConfigError, DataError
from tests.data.samples import Faulty, numbers, targets


def provider(**settings: int) -> DataProvider:
    datasets = {"train": numbers(10), "valid": numbers(4)}
    loaders = {
        "train": DataLoader(batch_size=4, shuffle=True),
        "valid": DataLoader(batch_size=4),
        "again": DataLoader("train", batch_size=10),
        "own": DataLoader(numbers(3)),
    }
    return DataProvider(datasets, loaders, **settings)


def test_a_split_is_provided_by_its_loader() -> None:
    data = provider()
    assert data.provide("train") is data.loaders["train"]
    assert data({"split": "train"}) is data.loaders["train"]


def test_a_loader_reads_the_dataset_of_its_name() -> None:
    assert targets(provider().provide("valid")) == [[0, 1, 2, 3]]


def test_a_loader_reads_the_dataset_that_it_names() -> None:
    assert targets(provider().provide("again")) == [list(range(10))]


def test_a_loader_keeps_a_dataset_of_its_own() -> None:
    assert targets(provider().provide("own")) == [[0, 1, 2]]


def test_a_split_keeps_its_position_between_requests() -> None:
    data = provider()
    first = next(iter(data.provide("train")))[1].tolist()
    assert [first, *targets(data.provide("train"))] == targets(
        data.provide({"split": "train", "epoch": 0})
    )


def test_an_epoch_is_provided_from_its_start_on() -> None:
    data = provider()
    whole = targets(data.provide({"split": "train", "epoch": 2}))
    assert targets(data({"split": "train", "epoch": 2, "start": 1})) == whole[1:]


def test_chosen_samples_are_provided() -> None:
    assert targets(provider()({"split": "train", "indices": [5, 1]})) == [[5, 1]]


def test_positions_are_state() -> None:
    saved, resumed = provider(), provider()
    next(iter(saved.provide("train")))
    resumed.load_state_dict(saved.state_dict())
    assert targets(resumed.provide("train")) == targets(saved.provide("train"))


def test_a_seed_is_for_all_loaders_without_one() -> None:
    first, second = provider(seed=1), provider(seed=2)
    assert targets(first("train")) != targets(second("train"))


def test_an_adopted_seed_is_used_where_none_was_chosen() -> None:
    adopting, chosen = provider(), provider(seed=1)
    adopting.adopt_seed(1)
    assert targets(adopting("train")) == targets(chosen("train"))


def test_a_chosen_seed_is_kept() -> None:
    data = provider(seed=1)
    data.adopt_seed(2)
    assert targets(data("train")) == targets(provider(seed=1)("train"))


def test_an_unknown_split_is_refused_with_the_nearest() -> None:
    data = provider()
    with pytest.raises(DataError, match=r"unknown split 'trian'[^$]*mean 'train'"):
        data.provide("trian")


def test_an_unknown_field_of_a_request_is_refused() -> None:
    data = provider()
    with pytest.raises(DataError, match=r"request field 'epochs'[^$]*mean 'epoch'"):
        data.provide({"split": "train", "epochs": 3})


def test_a_request_without_a_split_is_refused() -> None:
    data = provider()
    with pytest.raises(DataError, match="unknown split None"):
        data.provide({"epoch": 3})


def test_all_loaders_without_a_dataset_are_named() -> None:
    loaders = {"a": DataLoader(), "b": DataLoader("c")}
    with pytest.raises(
        ConfigError, match=r"loaders\.a reads 'a'; loaders\.b reads 'c'"
    ):
        DataProvider({}, loaders)


def test_a_dataset_that_fails_is_named_by_its_path() -> None:
    data = DataProvider({"train": Faulty()}, {"train": DataLoader()})
    with pytest.raises(DataError, match=r"sample 7 of Faulty at 'datasets\.train'"):
        targets(data("train"))


def test_a_provider_is_rebuilt_from_its_config() -> None:
    data = provider(seed=3)
    rebuilt = DataProvider.from_meta(**data.to_meta())
    assert rebuilt.state_dict() == data.state_dict()
    assert targets(rebuilt("train")) == targets(data("train"))


@pytest.mark.parametrize(
    ("datasets", "loaders", "got"),
    [
        (numbers(), {}, "these datasets[^$]*got:      Dataset\n"),
        ({}, DataLoader(), "these loaders[^$]*got:      DataLoader\n"),
    ],
)
def test_what_has_no_names_is_refused(datasets: Any, loaders: Any, got: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot tell the names of {got}"):
        DataProvider(datasets, loaders)


def test_a_loader_of_torch_is_refused() -> None:
    loaders: Any = {"train": TorchLoader(numbers())}
    with pytest.raises(ConfigError, match=r"got: +torch[^$]*write ptutils\.DataLoader"):
        DataProvider({"train": numbers()}, loaders)
