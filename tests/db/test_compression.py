"""Frames: what is worth compressing, what is refused, what they may take."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
import zstandard

from ptutils.db import compression
from ptutils.db.compression import (
    COMPRESSED_SUFFIX,
    SUFFIX,
    check_compression,
    expanded,
    expanded_size,
    lots,
)
from ptutils.db.mongo.interface import MongoInterface
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import ConfigError, DatabaseError

MIB = 1 << 20


def test_what_shrinks_lies_apart_from_what_does_not() -> None:
    artifacts = {"a": b"a" * 5000, "b": os.urandom(5000), "c": b""}
    (first, frames), (second, rest) = lots(artifacts, "zstd")
    assert (first, second) == (COMPRESSED_SUFFIX, SUFFIX)
    assert frames.keys() == {"a"}
    assert rest == {"b": artifacts["b"], "c": b""}


def test_without_compression_all_lies_together() -> None:
    artifacts = {"a": b"a" * 5000, "b": b"b"}
    assert list(lots(artifacts, None)) == [(SUFFIX, artifacts)]
    assert list(lots({}, "zstd")) == []


def test_frames_are_held_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_HELD_BYTES", 50)
    artifacts = {str(i): bytes([i]) * 5000 for i in range(9)}
    packs = [frames for _, frames in lots(artifacts, "zstd")]
    assert len(packs) > 2
    assert {name for frames in packs for name in frames} == artifacts.keys()


def test_larger_artifact_than_any_slice_stays_as_it_is() -> None:
    artifacts = {"a": bytes(64 * MIB + 1)}
    assert [suffix for suffix, _ in lots(artifacts, "zstd")] == [SUFFIX]


def test_frame_comes_back_as_it_was() -> None:
    frame = zstandard.compress(b"abc" * 1000)
    assert expanded(frame, 3000) == b"abc" * 1000
    assert expanded_size(frame[:18]) == 3000


def unsized(content: bytes) -> bytes:
    """Return a frame that does not tell its size."""
    return zstandard.ZstdCompressor(write_content_size=False).compress(content)


@pytest.mark.parametrize(
    ("frame", "size"),
    [
        (b"", 3000),
        (b"not a frame" * 9, 3000),
        (zstandard.compress(b"abc" * 1000)[:-1], 3000),
        (zstandard.compress(b"abc" * 1000), 2999),
        (zstandard.compress(bytes(64 * MIB + 1)), 64 * MIB + 1),
        (unsized(b"abc" * 1000), 3000),
        (unsized(b"abc" * 1000), -1),
    ],
)
def test_frame_that_is_not_as_it_should_be_is_refused(frame: bytes, size: int) -> None:
    with pytest.raises(ValueError, match="frame"):
        expanded(frame, size)


@pytest.mark.parametrize(
    "head",
    [b"", b"x" * 18, unsized(b"a" * 99)[:18], zstandard.compress(bytes(65 * MIB))[:18]],
)
def test_size_that_no_artifact_has_is_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match="frame"):
        expanded_size(head)


def test_other_compressions_are_refused() -> None:
    check_compression(None)
    check_compression("zstd")
    unknown: Any = "gzip"
    for opened in (
        lambda: SQLiteInterface("runs.db", compression=unknown),
        lambda: MongoInterface(compression=unknown),
    ):
        with pytest.raises(ConfigError, match=r"(?s)compression.*'zstd' or None.*gzip"):
            opened()


def test_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    for act in (
        lambda: check_compression("zstd"),
        lambda: expanded(b"", 0),
        lambda: expanded_size(b""),
    ):
        with pytest.raises(DatabaseError, match=r"(?s)zstandard is not.*ptutils\[zstd"):
            act()
