"""npz files: natural to numpy, exact for ptutils."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest
import torch

from ptutils.errors import DecodeError, FormatError
from ptutils.meta.formats import read, write
from ptutils.meta.state import State
from ptutils.testing.sameness import same


def example() -> State:
    return State(
        net={"w": torch.ones(2, 3), "half": torch.ones(2, dtype=torch.bfloat16)},
        optimizer={"lr": 0.1, "betas": (0.9, 0.999), "name": "Adam", "fused": None},
        phases=np.array([1 + 2j]),
        step=7,
    )


def test_numpy_alone_reads_arrays_and_scalars_by_path(tmp_path):
    path = example().save(tmp_path / "state.npz")
    held = np.load(path, allow_pickle=False)
    assert np.array_equal(held["net.w"], np.ones((2, 3), np.float32))
    assert held["phases"].dtype == np.complex128
    assert held["optimizer.betas"].tolist() == [0.9, 0.999]
    scalars = ["optimizer.lr", "optimizer.name", "step"]
    assert [held[name].item() for name in scalars] == [0.1, "Adam", 7]
    assert "optimizer.fused" not in held
    assert json.loads(held["_ptutils"].item())["document"]["step"] == 7


def test_dtypes_that_numpy_lacks_are_records_of_their_bits(tmp_path):
    path = example().save(tmp_path / "state.npz")
    bits = np.load(path)["net.half"]["bfloat16"]
    assert bits.tolist() == [0x3F80, 0x3F80]


def test_the_same_state_gives_the_same_bytes(tmp_path):
    paths = [example().save(tmp_path / f"{name}.npz") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_long_texts_and_lists_are_in_the_manifest_alone(tmp_path):
    state = State(text="x" * 1001, many=["a"] * 1001, column=[1.0] * 1001, short="y")
    path = state.save(tmp_path / "state.npz")
    assert np.load(path).files == ["_ptutils", "short"]
    assert same(State.load(path), state)


def test_names_of_scalars_yield_to_those_of_arrays(tmp_path):
    state = State({"a.b": 1.0, "a": {"b": np.ones(2)}, "again": [{"x": 1}] * 2})
    path = state.save(tmp_path / "state.npz")
    assert np.load(path)["a.b"].tolist() == [1, 1]
    assert same(State.load(path), state)


def test_names_too_long_for_an_archive_are_not_used(tmp_path):
    state = State({"x" * 70_000: np.ones(2)})
    path = state.save(tmp_path / "state.npz")
    assert np.load(path).files == ["_ptutils", "_ptutils.0"]
    assert same(State.load(path), state)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_of_others_is_read_by_name(tmp_path, save):
    arrays = {"a/b": np.arange(6).reshape(2, 3).T, "none": np.ones((0, 2)), "x": 1.5}
    save(tmp_path / "of_others.npz", **arrays)
    state = State(tmp_path / "of_others.npz")
    assert list(state) == ["a/b", "none", "x"]
    assert all(np.array_equal(state[name], arrays[name]) for name in arrays)
    state["none"].flags.writeable = True


def test_objects_are_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", a=np.array([{}]))
    with pytest.raises(FormatError, match="objects, which only code could make"):
        read(tmp_path / "objects.npz")


def test_an_archive_of_other_things_is_refused(tmp_path):
    path = tmp_path / "other.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(FormatError, match=r"a zip archive of \.npy files"):
        read(path)


def test_an_archive_that_claims_more_than_it_can_hold_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", bytes(10**6))
    with pytest.raises(FormatError, match="more than the file can hold"):
        read(path)


def test_an_array_whose_header_lies_is_refused(tmp_path):
    path = tmp_path / "lie.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("a.npy", "w") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": (2**50,)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(FormatError, match="cannot reshape array"):
        read(path)


def test_a_changed_array_is_noticed(tmp_path):
    path = write(tmp_path / "state.npz", {"w": np.zeros(2), "v": np.zeros(1)})
    held = dict(np.load(path))
    np.savez(path, **{**held, "w": np.ones(2)})
    with pytest.raises(DecodeError, match="damaged, or was changed by another tool"):
        read(path)
    del held["v"]
    np.savez(path, **held)
    with pytest.raises(DecodeError, match="nothing under 'v'"):
        read(path)
