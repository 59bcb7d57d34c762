"""Storages over 64 MiB are stored as slices, all others as one item each."""

from __future__ import annotations

from typing import Any

import pytest

from ptutils.core.records.artifacts import Storages, groups_of, stored_artifacts
from ptutils.errors import CorruptError
from ptutils.meta.codec.slices import SLICE_BYTES


def put(artifacts: Any) -> list[str]:
    return [f"{len(each)}" for each in artifacts]


def test_artifacts_are_bytes_or_digests_or_those_of_slices() -> None:
    large = bytes(65 << 20)
    assert stored_artifacts([b"a", large, bytes(2000)], put) == {
        "artifacts": [b"a", *[str(SLICE_BYTES)] * 4, str(1 << 20), "2000"],
        "slices": [1, 5, 1],
    }


def test_small_artifacts_have_no_counts() -> None:
    fields = stored_artifacts([b"a", bytes(2000)], put, inline_bytes=5000)
    assert fields == {"artifacts": [b"a", bytes(2000)]}
    assert groups_of(fields, "it") == [[b"a"], [bytes(2000)]]


@pytest.mark.parametrize("counts", [[1, 1], [3, 0], [4, -1], [True, 2], 3, {}, ["3"]])
def test_counts_that_do_not_fit_are_refused(counts: Any) -> None:
    fields = {"artifacts": ["a", "b", "c"], "slices": counts}
    with pytest.raises(CorruptError, match="cannot read that one") as error:
        groups_of(fields, "that one")
    assert error.value.expected == "counts of slices that add up to 3 artifacts"


def test_storages_are_joined_and_read_once() -> None:
    asked = []

    def get(digest: str) -> bytes:
        asked.append(digest)
        return digest.encode() * (SLICE_BYTES if digest == "a" else 5)

    groups = groups_of({"artifacts": ["a", "a", "b", b"c"], "slices": [3, 1]}, "it")
    storages = Storages(groups, get)
    joined = storages[0]
    assert joined == b"a" * 2 * SLICE_BYTES + b"bbbbb"
    assert storages[0] is joined
    assert (asked, storages[1], len(storages)) == (["a", "a", "b"], b"c", 2)


def test_slices_of_another_size_are_refused() -> None:
    groups = groups_of({"artifacts": ["a", "b"], "slices": [2]}, "it")
    with pytest.raises(CorruptError, match="cannot read a tensor in slices"):
        Storages(groups, lambda _: bytes(5))[0]
