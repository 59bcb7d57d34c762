"""Files are hashed, written and brought to the disk at once, and appear whole."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from safetensors.numpy import load_file

from ptutils.db.artifacts import Packs
from ptutils.db.aside import writing_aside
from ptutils.db.hashing import hashed
from ptutils.db.packing import layout
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import DatabaseError


def artifacts(*sizes: int) -> list[bytes]:
    chance = np.random.default_rng(0)
    return [chance.bytes(size) for size in sizes]


@pytest.mark.parametrize("sizes", [(), (0,), (5, 0, 7), (5 << 20, 3, 6 << 20, 1)])
def test_digests_come_in_order(sizes: tuple[int, ...]) -> None:
    given = artifacts(*sizes)
    found = [digest for batch in hashed(given) for digest in batch]
    assert found == [blake3(each).hexdigest() for each in given]


def test_hashing_that_is_left_ends() -> None:
    batches = hashed(artifacts(*[5 << 20] * 4))
    next(batches)
    batches.close()


def test_pack_of_what_is_new_is_read_by_any_tool(tmp_path: Path) -> None:
    db = SQLiteInterface(str(tmp_path / "runs.db"))
    given = artifacts(9_000_000, 5, 70, 9_000_000, 20_000_000)
    db._put(given[1:3])
    db._put([*given, given[0]])
    for content in given:
        assert bytes(db._get(blake3(content).hexdigest())) == content
    first, second = sorted(db._packs.files(), key=lambda path: path.stat().st_size)
    read = {**load_file(first), **load_file(second)}
    named = {name: each for name, each in read.items() if not name.startswith("pad")}
    assert named.keys() == {blake3(content).hexdigest() for content in given}
    assert len(load_file(second).keys() & named.keys()) == 3
    assert db.verify() == []


def test_nothing_new_makes_no_pack(tmp_path: Path) -> None:
    db = SQLiteInterface(str(tmp_path / "runs.db"))
    db._put(artifacts(5))
    db._put(artifacts(5))
    assert len(db._packs.files()) == 1
    assert db._put([]) == []


def test_header_of_fewer_than_there_may_be_fills_its_room() -> None:
    header, offsets = layout({"0" * 64: b"abc", "1" * 64: b"de"})
    assert len(header) % 64 == 0
    assert offsets == {"0" * 64: len(header), "1" * 64: len(header) + 64}


def failing(descriptor: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_disk_that_fails_is_told_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(DatabaseError, match="Input/output error"):
        Packs(tmp_path).write({"0" * 64: b"abc"})
    assert list(tmp_path.iterdir()) == []


def test_disk_that_fails_in_the_background_is_told_though_it_tells_but_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fdatasync", failing)

    def write() -> None:
        with writing_aside(tmp_path) as file:
            file.write(*artifacts(20 << 20))
            while file._fault is None:
                time.sleep(0.001)
            file.write_head(b"")

    with pytest.raises(OSError, match="Input/output error"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_given_up_is_gone(tmp_path: Path) -> None:
    (content,) = artifacts(20 << 20)

    def write() -> Any:
        with writing_aside(tmp_path) as file:
            file.write(content)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert list(tmp_path.iterdir()) == []
