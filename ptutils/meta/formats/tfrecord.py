"""TFRecord files: one ``tf.train.Example`` for each array or tensor.

A record has the features ``name``, ``dtype``, ``shape`` and ``data``: the bytes of the
elements, as ``tf.io.decode_raw`` takes them. The first is called ``_ptutils`` and has
the manifest. Each is framed by its length and masked checksums, as TensorFlow does::

    uint64 length, uint32 masked crc of length, data, uint32 masked crc of data

Source:
    https://www.tensorflow.org/tutorials/load_data/tfrecord, TFRecords format details.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

import google_crc32c

from ptutils.errors import DecodeError, FormatError
from ptutils.meta.codec import Buffer, encode
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.formats.entries import WIDTHS, entries_of
from ptutils.meta.formats.example import Record, read_example, write_example
from ptutils.meta.formats.manifest import brought_back, manifest_of
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value

__all__ = ["read_tfrecord", "write_tfrecord"]

_MANIFEST: Final = "_ptutils"
_LENGTH: Final = struct.Struct("<Q")
_CHECKSUM: Final = struct.Struct("<I")
_HEAD: Final = _LENGTH.size + _CHECKSUM.size


def read_tfrecord(path: Path) -> Value:
    """Return the value that a TFRecord file holds.

    Raises:
        FormatError: If a record is not framed as it should be, which names it by its
            number from 0; or if ptutils did not write the file.
        DecodeError: If the records are not those that were written.
    """
    with path.open("rb") as file:
        contents: dict[str, Buffer] = {}
        for number, message in enumerate(_messages(path, file)):
            try:
                record = read_example(memoryview(message))
            except DecodeError as error:
                _refuse(path, number, error.expected, error.got, error)
            contents[record.name] = record.data
    if _MANIFEST not in contents:
        _refuse(path, 0, "the manifest of a file that ptutils wrote", "none")
    manifest = str(contents[_MANIFEST], "ascii", "replace")
    return brought_back(path, manifest, contents.__getitem__)


def write_tfrecord(path: Path, value: Value) -> None:
    """Write a value as a TFRecord file, which appears whole.

    Raises:
        EncodeError: If a part of the value cannot be stored.
    """
    encoded = encode(value)
    sizes = [len(artifact) for artifact in encoded.artifacts]
    entries = entries_of(encoded.document, encoded.types, sizes, dtypes=WIDTHS)
    manifest = manifest_of(encoded, [entry.name for entry in entries]).encode()
    with replacing(path) as file:
        _append(file, Record(_MANIFEST, "json", (), manifest))
        for entry, artifact in zip(entries, encoded.artifacts, strict=True):
            _append(file, Record(entry.name, entry.dtype, entry.shape, artifact))


def _append(file: BinaryIO, record: Record) -> None:
    pieces = write_example(record)
    length = _LENGTH.pack(sum(map(len, pieces)))
    file.write(length + _checksum([length]))
    for piece in pieces:
        file.write(piece)
    file.write(_checksum(pieces))


def _checksum(pieces: list[Buffer]) -> bytes:
    crc = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, bytes(piece))
    return _CHECKSUM.pack(((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _messages(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of each record, checked."""
    size = file.seek(0, 2)
    file.seek(0)
    number = 0
    while head := file.read(_HEAD):
        length = head[: _LENGTH.size]
        if head[_LENGTH.size :] != _checksum([length]):
            _refuse(path, number, "a length that its checksum confirms", repr(head))
        (count,) = _LENGTH.unpack(length)
        left = size - file.tell() - _CHECKSUM.size
        if count > left:
            _refuse(path, number, f"{count} bytes", f"the end after {max(left, 0)}")
        message = file.read(count)
        if file.read(_CHECKSUM.size) != _checksum([message]):
            _refuse(path, number, "bytes that their checksum confirms", "others")
        yield message
        number += 1


def _refuse(
    path: Path, number: int, expected: str, got: str, error: Exception | None = None
) -> NoReturn:
    raise FormatError(
        f"cannot read {path}: record {number}",
        expected=expected,
        got=got,
        fix="take it from a copy, or save it again",
    ) from error


register_format(".tfrecord", read=read_tfrecord, write=write_tfrecord)
