"""HDF5 files: natural to h5py, exact for ptutils, and never a door to other files."""

from __future__ import annotations

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

from ptutils.errors import DecodeError, FormatError
from ptutils.meta.formats import read, write
from ptutils.meta.state import State
from ptutils.testing.sameness import same


def example() -> State:
    return State(
        net={"0.w": torch.ones(2, 3), "half": torch.ones(2, dtype=torch.bfloat16)},
        optimizer={"lr": 0.1, "betas": (0.9, 0.999), "name": "Adam", "fused": None},
        groups=[{"phases": np.array([1 + 2j])}],
        mask=torch.tensor([True, False]),
        step=7,
    )


def test_h5py_alone_reads_arrays_as_datasets_and_scalars_as_attributes(tmp_path):
    path = example().save(tmp_path / "state.h5")
    with h5py.File(path) as file:
        assert np.array_equal(file["net/0.w"], np.ones((2, 3), np.float32))
        assert file["groups/0/phases"][()].tolist() == [1 + 2j]
        assert file["mask"][()].tolist() == [True, False]
        assert file["net/half"]["bfloat16"].tolist() == [0x3F80, 0x3F80]
        held = dict(file["optimizer"].attrs)
        assert held.pop("betas").tolist() == [0.9, 0.999]
        assert held == {"lr": 0.1, "name": "Adam"}
        assert file.attrs["step"] == 7
        assert json.loads(file["_ptutils"][()])["document"]["step"] == 7


def test_the_same_state_gives_the_same_bytes(tmp_path):
    paths = [example().save(tmp_path / f"{name}.h5") for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_hostile_names_neither_collide_nor_get_lost(tmp_path):
    ones = torch.ones
    state = State(
        {"a/b": ones(1), "a": {"b": ones(2)}, "a\u2215b": ones(3), ".": ones(4)},
    )
    state.update({"": ones(5), "_ptutils": {"x": 1, "y": ones(6)}, 1: 1.0, "1": 2.0})
    state.update({"x" * 5000: ones(7), "y" * 5000: 1.0, "z" * 5000: {"deep": 1.0}})
    path = state.save(tmp_path / "state.h5")
    with h5py.File(path) as file:
        names = ["a", "a\u2215b", "．", "∅", *(f"_ptutils.{n}" for n in (2, 5, 6))]
        assert sorted(file) == sorted([*names, "_ptutils"])
        assert file["a/b"].shape == (2,)
        assert list(file.attrs) == ["1"]
    assert same(State.load(path), state)


@pytest.mark.parametrize(
    "state",
    [
        {1: np.ones(1), "1": {"b": np.ones(2)}},
        {"1": {"b": np.ones(2)}, 1: np.ones(1)},
        {1: np.ones(1), "1": {"b": 2.0}},
    ],
)
def test_a_group_and_a_dataset_of_one_name_yield_to_each_other(tmp_path, state):
    assert same(read(write(tmp_path / "state.h5", state)), state)


def test_a_list_of_numbers_at_the_root_is_an_attribute_of_it(tmp_path):
    path = write(tmp_path / "state.h5", [1.0, 2.0])
    with h5py.File(path) as file:
        assert file.attrs["tensor"].tolist() == [1.0, 2.0]
    assert same(read(path), [1.0, 2.0])


def test_a_changed_file_is_noticed_before_libhdf5_sees_it(tmp_path):
    path = example().save(tmp_path / "state.h5")
    with h5py.File(path, "r+") as file:
        file["net/0.w"][0, 0] = 2
    with pytest.raises(DecodeError, match="damaged, or was changed by another tool"):
        read(path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda file: file["a"].write_direct(np.ones(2)), "blake3"),
        (lambda file: file.pop("a"), "nothing under 'a'"),
        (lambda file: (file.pop("a"), file.create_group("a")), "nothing under 'a'"),
        (lambda file: (file.pop("n"), file.create_group("n")), "nothing under 'n/b'"),
        (lambda file: (file.pop("n"), file.create_dataset("n", data=1)), "'n/b'"),
    ],
)
def test_a_file_without_seal_is_checked_by_its_manifest(tmp_path, change, text):
    path = write(tmp_path / "state.h5", {"a": np.zeros(2), "n": {"b": np.zeros(1)}})
    path.write_bytes(bytes(512) + path.read_bytes()[512:])
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(DecodeError, match=text):
        read(path)


# files by others


def test_a_file_of_others_is_read_as_nested_values(tmp_path):
    path = tmp_path / "of_others.h5"
    with h5py.File(path, "w") as file:
        file["net/w"] = np.arange(6, dtype=">i4").reshape(2, 3)
        file["net/w"].attrs["unit"] = "passed over"
        file["net/again"] = file["net/w"]
        file["net"].attrs.update({"lr": 0.1, "names": ["a", "b"], "on": True})
        file["net"].attrs["none"] = h5py.Empty("f")
        file["net"].attrs["text"] = h5py.Empty(h5py.string_dtype())
        file["texts"] = ["é", "b"]
        file["text"] = "one"
        file["empty"] = h5py.Empty("f")
        file["fixed"] = np.array([b"ab", b"c"])
        file.create_dataset("packed", data=np.zeros(10_000), compression="gzip")
        file["enum"] = np.array([1], h5py.enum_dtype({"RED": 1}, "i1"))
        file["same"] = file["net"]
    state = State(path)
    assert state.net.w.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert state.net.again is state.net.w
    assert state.same is state.net
    held = {key: state.net[key] for key in ("lr", "on", "none", "text")}
    assert same(held, {"lr": 0.1, "on": True, "none": None, "text": None})
    assert state.net.names == state["net"]["names"] == ["a", "b"]
    assert [state.texts, state.text, state.empty] == [["é", "b"], "one", None]
    assert state.fixed.tolist() == [b"ab", b"c"]
    assert state.packed.shape == (10_000,)
    assert same(State.load(state.save(tmp_path / "again.h5")), state)


def _virtual(file):
    layout = h5py.VirtualLayout((1,), "f4")
    layout[:] = h5py.VirtualSource("secret.h5", "x", (1,))
    file.create_virtual_dataset("a", layout)


def _reference(file):
    file["a"] = np.array([file.ref], h5py.ref_dtype)


def _set(name, value):
    return lambda file: file.__setitem__(name, value)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (_set("a", h5py.ExternalLink("secret.h5", "/x")), "a ExternalLink"),
        (_set("a", h5py.SoftLink("/elsewhere")), "a SoftLink"),
        (_virtual, "takes its bytes from other files"),
        (
            lambda file: file.create_dataset(
                "a", (4,), "u1", external=[("secret.bin", 0, 4)]
            ),
            "takes its bytes from other files",
        ),
        (_reference, "such as references"),
        (
            lambda file: file.create_dataset("a", (2**50,), "f4", chunks=(10,)),
            "a dataset",
        ),
        (_set("a", np.dtype("f4")), "a group or dataset"),
        (lambda file: file.create_group("a").__setitem__("up", file), "200 groups"),
    ],
)
def test_what_leads_outside_or_needs_code_is_refused(tmp_path, make, text):
    (tmp_path / "secret.bin").write_bytes(b"1234")
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.ones(1, np.float32)
    with h5py.File(tmp_path / "of_others.h5", "w") as file:
        make(file)
    with pytest.raises(FormatError, match=text):
        read(tmp_path / "of_others.h5")


def test_a_manifest_may_not_be_a_link(tmp_path):
    path = tmp_path / "of_others.h5"
    with h5py.File(path, "w") as file:
        file["_ptutils"] = h5py.ExternalLink("secret.h5", "/x")
    with pytest.raises((FormatError, DecodeError)):
        read(path)


def test_texts_that_are_not_utf8_are_refused(tmp_path):
    path = tmp_path / "of_others.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.array([b"\xff"], dtype=h5py.string_dtype())
    with pytest.raises(FormatError, match="an HDF5 file"):
        read(path)


DAMAGE = """
import random, resource, sys
from pathlib import Path
import h5py, numpy as np
from ptutils.errors import PtutilsError
from ptutils.meta.formats import read

resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
path, chance = Path(sys.argv[1]), random.Random(0)
with h5py.File(path, "w") as file:
    file["net/w"] = np.arange(600, dtype="f4")
    file["net"].attrs.update({"lr": 0.1, "names": ["a", "b"]})
    file["texts"] = ["é", "b"]
    file.create_dataset("packed", data=np.zeros(5000), compression="gzip")
whole = path.read_bytes()
for _ in range(200):
    content = bytearray(whole)
    content[chance.randrange(3000)] ^= chance.randrange(1, 256)
    path.write_bytes(content)
    try:
        read(path)
    except PtutilsError:
        pass
"""


def test_a_damaged_file_of_others_is_an_error_or_a_value(tmp_path):
    # In a process of its own, because libhdf5 may crash.
    command = [sys.executable, "-c", DAMAGE, str(tmp_path / "of_others.h5")]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
