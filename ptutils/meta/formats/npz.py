"""npz files: arrays and tensors by their dotted path, for numpy alone.

Numbers and texts are arrays without axes, under their paths too. What numpy cannot
tell is in the array ``_ptutils``: the manifest. A file by others is taken as a dict of
arrays by name; no object is unpickled.

Source:
    https://numpy.org/doc/stable/reference/generated/numpy.savez.html
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np

from ptutils.errors import FormatError
from ptutils.meta.codec import encode
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.formats.entries import WIDTHS, Names, entries_of, scalars_of
from ptutils.meta.formats.manifest import brought_back, manifest_of
from ptutils.meta.formats.npy import array_of, bytes_of, read_npy, write_npy
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value

__all__ = ["read_npz", "write_npz"]

_MANIFEST: Final = "_ptutils"
_LONGEST_NAME: Final = 60_000  # zip has two bytes for the length
_DENSEST: Final = 1100
"""How many times larger than its file content may be; deflate reaches 1032."""

_FAULTS: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, LookupError, NotImplementedError,
    OverflowError, RuntimeError, ValueError, FormatError,
)  # fmt: skip


def read_npz(path: Path) -> Value:
    """Return the value that an npz file holds; of a file by others, arrays by name.

    Raises:
        FormatError: If the file is not in this format, or holds objects.
        DecodeError: If it was written by ptutils and is damaged.
    """
    with path.open("rb") as file:
        try:
            arrays = _arrays(file)
        except _FAULTS as error:
            raise FormatError(
                f"cannot read {path}",
                expected="an npz file: a zip archive of .npy files without objects",
                got=getattr(error, "got", "") or f"{type(error).__name__}: {error}",
            ) from error
    if _MANIFEST not in arrays:
        return {name: array.copy() for name, array in arrays.items()}
    manifest = bytes(bytes_of(arrays[_MANIFEST])).decode("ascii", "replace")
    return brought_back(path, manifest, lambda name: bytes_of(arrays[name]))


def write_npz(path: Path, value: Value) -> None:
    """Write a value as an npz file, which appears whole.

    Raises:
        EncodeError: If a part of the value cannot be stored.
    """
    encoded = encode(value)
    document, types = encoded.document, encoded.types
    names = Names(_LONGEST_NAME)
    sizes = [len(artifact) for artifact in encoded.artifacts]
    entries = entries_of(document, types, sizes, names=names, dtypes=WIDTHS)
    manifest = manifest_of(encoded, [entry.name for entry in entries])
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        _add(archive, _MANIFEST, np.array(manifest.encode()))
        for entry, artifact in zip(entries, encoded.artifacts, strict=True):
            _add(archive, entry.name, array_of(entry, artifact))
        for place, scalar in scalars_of(document, types):
            if name := names.claim(place):
                _add(archive, name, np.array(scalar))


def _arrays(file: Any) -> dict[str, np.ndarray[Any, Any]]:
    with zipfile.ZipFile(file) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > _DENSEST * file.seek(0, 2):
            raise ValueError(f"{size} bytes, more than the file can hold")
        return {
            name.removesuffix(".npy"): read_npy(archive.read(name))
            for name in archive.namelist()
        }


def _add(archive: zipfile.ZipFile, name: str, array: np.ndarray[Any, Any]) -> None:
    # The same value gives the same bytes: a ZipInfo has no time of its own.
    archive.writestr(zipfile.ZipInfo(f"{name}.npy"), write_npy(array))


register_format(".npz", read=read_npz, write=write_npz)
