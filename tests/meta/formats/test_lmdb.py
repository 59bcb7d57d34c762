"""LMDB files: readable with lmdb and numpy alone, sealed because LMDB trusts them."""

from __future__ import annotations

import io
import json
import threading

import lmdb
import numpy as np
import pytest
import torch

from ptutils.errors import DecodeError, EncodeError, FormatError
from ptutils.meta.formats import lmdb as ours
from ptutils.meta.formats import read, write
from ptutils.meta.state import State
from ptutils.testing.sameness import same


def contents(path) -> dict[str, bytes]:
    with (
        lmdb.open(str(path), subdir=False, lock=False, readonly=True) as environment,
        environment.begin() as held,
    ):
        return {bytes(key).decode(): bytes(value) for key, value in held.cursor()}


def test_lmdb_and_numpy_alone_read_arrays_by_path(tmp_path):
    state = State(net={"w": torch.ones(2, 3)}, half=torch.ones(1).bfloat16(), step=7)
    held = contents(state.save(tmp_path / "state.lmdb"))
    assert sorted(held) == ["_ptutils", "half", "net.w"]
    assert np.array_equal(np.load(io.BytesIO(held["net.w"])), np.ones((2, 3)))
    assert np.load(io.BytesIO(held["half"]))["bfloat16"].tolist() == [0x3F80]
    assert json.loads(held["_ptutils"])["document"]["step"] == 7


def test_paths_too_long_for_a_key_are_not_used(tmp_path):
    state = State({"é" * 300: np.ones(2)})
    path = state.save(tmp_path / "state.lmdb")
    assert sorted(contents(path)) == ["_ptutils", "_ptutils.0"]
    assert same(State.load(path), state)


def test_many_arrays_have_room(tmp_path):
    state = State({f"{n:05}": np.full(n % 900, n) for n in range(3000)})
    path = state.save(tmp_path / "state.lmdb")
    assert same(State.load(path), state)


def test_a_changed_file_is_noticed(tmp_path):
    path = write(tmp_path / "state.lmdb", {"w": np.zeros(2)})
    content = bytearray(path.read_bytes())
    content[4096 + 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(DecodeError, match="damaged, or was changed by another tool"):
        read(path)


def test_a_file_of_others_is_refused(tmp_path):
    path = tmp_path / "of_others.lmdb"
    lmdb.open(str(path), subdir=False, lock=False).close()
    with pytest.raises(FormatError, match="an LMDB file that ptutils wrote"):
        read(path)


def test_a_sealed_file_without_manifest_is_refused(tmp_path):
    path = tmp_path / "state.lmdb"
    lmdb.open(str(path), subdir=False, lock=False).close()
    content = path.read_bytes()
    path.write_bytes(content + ours.seal_of([content]))
    with pytest.raises(DecodeError, match="a manifest of blake3"):
        read(path)


def test_arrays_too_large_for_a_value_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "_LARGEST", 100)
    with pytest.raises(EncodeError, match=r"at most 4 GB(.|\n)*choose .safetensors"):
        write(tmp_path / "state.lmdb", {"net": {"w": np.zeros(20)}})
    assert list(tmp_path.iterdir()) == []


def test_a_failure_of_lmdb_is_an_error_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "_PAGE", -1)
    with pytest.raises(FormatError, match="cannot write"):
        write(tmp_path / "state.lmdb", {"w": np.zeros(100_000)})
    assert list(tmp_path.iterdir()) == []


def test_threads_read_one_file(tmp_path):
    path = write(tmp_path / "state.lmdb", {"w": np.zeros(2)})
    found = []
    readers = [
        threading.Thread(target=lambda: found.append(read(path))) for _ in range(8)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(found) == 8


def test_a_sealed_file_that_lacks_an_array_is_refused(tmp_path):
    path = write(tmp_path / "state.lmdb", {"w": np.zeros(2)})
    with (
        lmdb.open(str(path), subdir=False, lock=False) as environment,
        environment.begin(write=True) as held,
    ):
        held.delete(b"w")
    content = path.read_bytes()
    path.write_bytes(content + ours.seal_of([content]))
    with pytest.raises(DecodeError, match="nothing under 'w'"):
        read(path)
