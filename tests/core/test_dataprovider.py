from __future__ import annotations

import ptutils
from ptutils.core.dataprovider import Batches, Loader, Provider


def loader() -> ptutils.DataLoader:
    dataset = ptutils.Dataset(ptutils.ArrayReader([[1.0], [2.0]], [0, 1]))
    return ptutils.DataLoader(dataset)


def test_a_loader_keeps_the_contract() -> None:
    assert isinstance(loader(), Loader)


def test_the_batches_of_an_epoch_keep_the_contract() -> None:
    assert isinstance(loader().batches(), Batches)


def test_a_dataprovider_keeps_the_contract() -> None:
    assert isinstance(ptutils.DataProvider({}, {"train": loader()}), Provider)
