"""Room is taken before it is needed, and nobody sees it."""

from __future__ import annotations

import ctypes
import errno
from pathlib import Path

import pytest

from ptutils.db.files import room
from ptutils.db.files.room import take_room


def test_room_is_taken_and_the_file_ends_where_it_did(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with path.open("r+b") as file:
        take_room(file.fileno(), 3, 1_000_000)
    assert path.stat().st_blocks * 512 >= 1_000_000
    assert path.read_bytes() == b"abc"


def test_too_much_is_an_error(tmp_path: Path) -> None:
    too_much = pytest.raises(OSError, match=r"too large|No space")
    with (tmp_path / "file").open("wb") as file, too_much:
        take_room(file.fileno(), 0, 2**62)


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, None])
def test_systems_that_cannot_hide_it_show_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    def refuse(*_: object) -> int:
        ctypes.set_errno(number or 0)
        return -1

    monkeypatch.setattr(room, "_FALLOCATE", number and refuse)
    with (tmp_path / "file").open("w+b") as file:
        take_room(file.fileno(), 0, 10)
    assert (tmp_path / "file").read_bytes() == bytes(10)


def test_room_is_asked_for_again_after_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [errno.EINTR, errno.EINTR, 0]

    def interrupted(*_: object) -> int:
        ctypes.set_errno(answers.pop(0))
        return -1 if answers else 0

    monkeypatch.setattr(room, "_FALLOCATE", interrupted)
    with (tmp_path / "file").open("wb") as file:
        take_room(file.fileno(), 0, 10)
    assert answers == []
