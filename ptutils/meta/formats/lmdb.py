"""LMDB files: one value per array or tensor, by path, as the content of an .npy file.

The file is one environment without subfolder and lock file. The key ``_ptutils`` has
the manifest; other keys are paths in UTF-8. The seal follows after the last page, where
LMDB does not look: its library may crash on a damaged file, so that only sealed files
are read.

Source:
    http://www.lmdb.tech/doc/
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import lmdb

from ptutils.errors import EncodeError, FormatError
from ptutils.meta.codec import Buffer, encode
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.formats.entries import WIDTHS, Entry, Names, entries_of
from ptutils.meta.formats.manifest import brought_back, manifest_of
from ptutils.meta.formats.npy import array_of, bytes_of, read_npy, write_npy
from ptutils.meta.formats.seal import check_seal, pieces_of, seal_of
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value

__all__ = ["read_lmdb", "write_lmdb"]

_MANIFEST: Final = "_ptutils"
_LONGEST_KEY: Final = 511  # bytes
_LARGEST: Final = 2**32 - 2**16  # bytes of a value
_PAGE: Final = 4096
_ALONE: Final = threading.Lock()
"""LMDB opens a file once in a process."""


def read_lmdb(path: Path) -> Value:
    """Return the value that an LMDB file holds.

    Raises:
        FormatError: If ptutils did not write the file.
        DecodeError: If the file is damaged.
    """
    if not check_seal(path, at_end=True):
        raise FormatError(
            f"cannot read {path}",
            expected="an LMDB file that ptutils wrote",
            got="one without seal, on which LMDB might crash",
            fix="read it with the package lmdb, if you know who wrote it",
        )
    with (
        _ALONE,
        _opened(path, readonly=True) as environment,
        environment.begin() as held,
    ):

        def content(name: str) -> Buffer:
            return bytes_of(read_npy(_found(held, name)))

        manifest = str(held.get(_MANIFEST.encode(), b""), "ascii", "replace")
        return brought_back(path, manifest, content)


def write_lmdb(path: Path, value: Value) -> None:
    """Write a value as an LMDB file, which appears whole.

    Raises:
        EncodeError: If a part of the value cannot be stored.
    """
    encoded = encode(value)
    sizes = [len(artifact) for artifact in encoded.artifacts]
    names = Names(_LONGEST_KEY)
    entries = entries_of(
        encoded.document, encoded.types, sizes, names=names, dtypes=WIDTHS
    )
    _check(entries)
    manifest = manifest_of(encoded, [entry.name for entry in entries]).encode()
    room = sum(sizes) + len(manifest) + _PAGE * (64 + 3 * len(sizes))
    with replacing(path) as file:
        aside = Path(file.name)
        with (
            _opened(aside, map_size=room, sync=False) as environment,
            environment.begin(write=True) as held,
        ):
            held.put(_MANIFEST.encode(), manifest)
            for entry, artifact in zip(entries, encoded.artifacts, strict=True):
                held.put(entry.name.encode(), write_npy(array_of(entry, artifact)))
        with aside.open("rb") as written:
            seal = seal_of(pieces_of(written, file.seek(0, 2)))
        file.write(seal)


@contextlib.contextmanager
def _opened(path: Path, **options: Value) -> Iterator[lmdb.Environment]:
    try:
        with lmdb.open(str(path), subdir=False, lock=False, **options) as environment:
            yield environment
    except lmdb.Error as error:
        raise OSError(str(error)) from error


def _found(held: lmdb.Transaction, name: str) -> bytes:
    content = held.get(name.encode())
    if content is None:
        raise KeyError(name)
    return bytes(content)


def _check(entries: list[Entry]) -> None:
    for entry in entries:
        if entry.size > _LARGEST:
            raise EncodeError(
                "cannot store this array in an LMDB file",
                path=entry.name,
                expected="at most 4 GB",
                got=f"{entry.size} bytes",
                fix="choose .safetensors, .npz or .h5",
            )


register_format(".lmdb", read=read_lmdb, write=write_lmdb)
