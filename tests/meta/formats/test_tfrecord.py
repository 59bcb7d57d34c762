"""TFRecord files: framed as published, one Example per array."""

from __future__ import annotations

import json
import struct

import google_crc32c
import numpy as np
import pytest
import torch

from ptutils.errors import DecodeError, FormatError
from ptutils.meta.formats import read, write
from ptutils.meta.formats.example import read_example
from ptutils.meta.state import State


def masked(content: bytes) -> int:
    crc = google_crc32c.value(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def framed(message: bytes) -> bytes:
    length = struct.pack("<Q", len(message))
    ends = [struct.pack("<I", masked(part)) for part in (length, message)]
    return length + ends[0] + message + ends[1]


def messages(content: bytes) -> list[bytes]:
    """Read as https://www.tensorflow.org/tutorials/load_data/tfrecord says."""
    found, place = [], 0
    while place < len(content):
        size, crc = struct.unpack_from("<QI", content, place)
        assert crc == masked(content[place : place + 8])
        message = content[place + 12 : place + 12 + size]
        (crc,) = struct.unpack_from("<I", content, place + 12 + size)
        assert crc == masked(message)
        found.append(message)
        place += 16 + size
    return found


def delimited(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def feature(key: bytes, kind: int, value: bytes) -> bytes:
    listed = delimited(kind, delimited(1, value))
    return delimited(1, delimited(1, key) + delimited(2, listed))


def test_records_are_examples_framed_as_published(tmp_path):
    state = State(net={"w": torch.ones(2, 3)}, step=7)
    first, second = messages(state.save(tmp_path / "a.tfrecord").read_bytes())
    assert json.loads(bytes(read_example(memoryview(first)).data))["types"]
    assert second == delimited(
        1,
        feature(b"dtype", 1, b"float32")
        + feature(b"name", 1, b"net.w")
        + feature(b"shape", 3, b"\x02\x03")
        + feature(b"data", 1, np.ones(6, np.float32).tobytes()),
    )


def test_long_shapes_and_scalars_come_back(tmp_path):
    path = write(tmp_path / "a.tfrecord", [np.zeros((300, 1)), np.ones(())])
    records = [read_example(memoryview(each)) for each in messages(path.read_bytes())]
    assert [record.shape for record in records] == [(), (300, 1), ()]
    assert [record.name for record in records] == ["_ptutils", "0", "1"]


def test_damage_is_told_by_the_number_of_the_record(tmp_path):
    path = write(tmp_path / "a.tfrecord", {"a": np.zeros(9), "b": np.zeros(9)})
    content = path.read_bytes()
    last = content.rindex(framed(messages(content)[-1]))
    for place, text in [
        (last, "record 2\n.*a length that its checksum confirms"),
        (last + 40, "record 2\n.*bytes that their checksum confirms"),
    ]:
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=text):
            read(path)
    path.write_bytes(content[:-5])
    with pytest.raises(FormatError, match="the end after"):
        read(path)
    path.write_bytes(content[: last + 3])
    with pytest.raises(FormatError, match="record 2"):
        read(path)
    path.write_bytes(content[:last])
    with pytest.raises(DecodeError, match="nothing under 'b'"):
        read(path)


@pytest.mark.parametrize(
    ("message", "got"),
    [
        (b"", "'shape'"),
        (b"\x08\x01", "a field of"),
        (b"\x0a\x7f", "a field of"),
        (delimited(2, b""), "field 2"),
        (delimited(1, delimited(1, delimited(1, b"a"))), "without key or value"),
        (b"\x0a", "a number that is cut off"),
        (b"\xff" * 11, "a number of more than 63 bits"),
        (delimited(1, feature(b"shape", 3, b"\x80")), "'name'"),
        (
            delimited(1, feature(b"shape", 3, b"") + feature(b"name", 1, b"\xff")),
            "utf-8",
        ),
    ],
)
def test_records_of_others_are_refused(tmp_path, message, got):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(framed(message))
    with pytest.raises(FormatError, match=f"record 0(.|\n)*{got}"):
        read(path)


def test_a_file_without_manifest_is_refused(tmp_path):
    path = write(tmp_path / "a.tfrecord", {"a": np.zeros(9)})
    path.write_bytes(framed(messages(path.read_bytes())[1]))
    with pytest.raises(FormatError, match="the manifest of a file that ptutils wrote"):
        read(path)
