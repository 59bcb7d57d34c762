"""Snapshots: exact at the moment they are taken, whatever is changed afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ptutils.core.records.writing.snapshot import Snapshots
from ptutils.errors import EncodeError
from ptutils.meta.codec import decode
from ptutils.testing.sameness import same


def large() -> dict[str, Any]:
    shared = torch.arange(300_000.0)
    return {
        "weights": torch.randn(700, 500),
        "view": shared[10:20],
        "whole": shared,
        "odd": torch.arange(7, dtype=torch.uint8),
        "array": np.arange(40_000),
        "text": "a",
    }


@pytest.mark.parametrize("state", [{"w": torch.ones(3), "b": bytearray(5)}, large()])
def test_snapshot_is_equal_and_stays_so(state: dict[str, Any]) -> None:
    snapshot = Snapshots().take(state)
    taken = decode(snapshot.encoded)
    assert same(taken, state)
    for value in state.values():
        if isinstance(value, torch.Tensor | np.ndarray):
            value.__iadd__(1)
        elif isinstance(value, bytearray):
            value[:] = b"xxxxx"
    assert same(decode(snapshot.encoded), taken)


def test_memory_is_used_again_when_it_is_given_back() -> None:
    snapshots, state = Snapshots(), large()
    first = snapshots.take(state)
    second = snapshots.take(state)
    assert second._memory is not first._memory
    snapshots.reuse(first)
    assert snapshots.take(state)._memory is first._memory


def test_memory_far_too_large_is_not_kept() -> None:
    snapshots, state = Snapshots(), large()
    first = snapshots.take(state)
    snapshots.reuse(first)
    half = snapshots.take({"w": torch.ones(300_000)})
    assert half._memory is not first._memory
    snapshots.reuse(snapshots.take({"w": torch.ones(3)}))


def test_value_that_cannot_be_stored_is_an_error() -> None:
    with pytest.raises(EncodeError):
        Snapshots().take({"value": object()})
