"""Snapshots: exact at the moment they are taken, whatever is changed afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ptutils.core.records.artifacts import groups_of
from ptutils.core.records.checkpoint import state_fields
from ptutils.core.records.writing.snapshot import Snapshot, Snapshots
from ptutils.db.memory import MemoryInterface
from ptutils.errors import EncodeError
from ptutils.meta.codec import decode, encode
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


class Frozen:
    """A State of which one part is never changed, and what is stored of it."""

    def __init__(self) -> None:
        self.db = MemoryInterface()
        self.snapshots = Snapshots()
        self.frozen, self.trained = torch.randn(400_000), torch.randn(100_000)
        self.buffer, self.array = torch.zeros(2000), np.zeros(2000)

    def save(self) -> Snapshot:
        parts = {"f": self.frozen, "t": self.trained, "b": self.buffer, "a": self.array}
        snapshot = self.snapshots.take(parts)
        fields = state_fields(self.db, snapshot.encoded, snapshot.kept)
        self.snapshots.learn(snapshot, groups_of(fields, "test"))
        live = encode(parts)
        assert fields == state_fields(MemoryInterface(), live)
        return snapshot


def test_what_did_not_change_is_not_copied_again() -> None:
    state = Frozen()
    sizes = []
    for _ in range(3):
        sizes.append(state.save().size_bytes)
        state.trained += 1
    assert sizes == [2_024_000, 416_000, 416_000]


def test_change_past_the_count_of_torch_is_seen() -> None:
    state = Frozen()
    state.save()
    state.frozen.data[7] = 5.0
    assert state.save().size_bytes > 1_600_000
    assert len(state.save().kept) == 3


def test_part_that_comes_to_rest_is_not_copied_from_then_on() -> None:
    state = Frozen()
    state.save()
    for _ in range(2):
        state.trained += 1
        assert 1 not in state.save().kept
    assert 1 not in state.save().kept
    assert 1 in state.save().kept


def test_new_tensor_in_place_of_one_that_was_stored_is_copied() -> None:
    state = Frozen()
    state.save()
    state.frozen = torch.randn(400_000)
    assert 0 not in state.save().kept


def test_nothing_is_counted_on_that_was_forgotten() -> None:
    state = Frozen()
    state.save()
    state.snapshots.forget()
    assert not state.save().kept


def test_tensors_of_inference_are_always_copied() -> None:
    with torch.inference_mode():
        weights = torch.ones(400_000)
    snapshots = Snapshots()
    snapshot = snapshots.take({"w": weights})
    snapshots.learn(snapshot, [["0" * 64]])
    assert not snapshots.take({"w": weights}).kept
