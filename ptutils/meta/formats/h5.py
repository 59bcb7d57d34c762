"""HDF5 files: a group for each dict or list, datasets for arrays, attributes for rest.

Numbers and texts are attributes of their group. What HDF5 cannot tell is in the dataset
``_ptutils``: the manifest. The user block before the file's own bytes holds their seal,
because libhdf5 may crash on damaged files: it gets to see none of ours.

A file by others is taken as nested dicts of arrays, numbers and texts, if everything is
in the file itself.

Source:
    https://support.hdfgroup.org/documentation/hdf5/latest/_h5_d_m__u_g.html
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import h5py
import numpy as np

from ptutils.meta.codec import Buffer, Encoded, encode
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.formats.entries import WIDTHS, Names, entries_of, scalars_of
from ptutils.meta.formats.h5_nested import dataset_at, nested, opened
from ptutils.meta.formats.manifest import brought_back, manifest_of
from ptutils.meta.formats.npy import array_of, bytes_of
from ptutils.meta.formats.seal import SEAL_SIZE, check_seal, seal_of
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value

__all__ = ["read_h5", "write_h5"]

_MANIFEST: Final = "_ptutils"
_USER_BLOCK: Final = 512
_LONGEST_NAME: Final = 4096
_ESCAPES: Final = {".": "\uff0e"}  # HDF5 takes it for the group itself


def read_h5(path: Path) -> Value:
    """Return the value that an HDF5 file holds; of a file by others, nested dicts.

    Raises:
        FormatError: If the file is not in this format, refers to something outside, or
            holds what only code could make.
        DecodeError: If it was written by ptutils and is damaged.
    """
    check_seal(path, at_end=False)
    with opened(path) as file:
        if file.get(_MANIFEST, getlink=True) is None:
            return nested(file, path.stat().st_size)
        manifest = bytes(_content(file, _MANIFEST)).decode("ascii", "replace")
        return brought_back(path, manifest, lambda name: _content(file, name))


def write_h5(path: Path, value: Value) -> None:
    """Write a value as an HDF5 file, which appears whole.

    Raises:
        EncodeError: If a part of the value cannot be stored.
    """
    encoded = encode(value)
    # In memory first: libhdf5 does not survive a full disk.
    memory = io.BytesIO()
    with h5py.File(memory, "w", userblock_size=_USER_BLOCK) as file:
        _fill(file, encoded)
    content = memory.getbuffer()
    with replacing(path) as target:
        target.write(seal_of([content[SEAL_SIZE:]]))
        target.write(content[SEAL_SIZE:])


class _Places(Names):
    """The places that a file can still give: paths with ``/``, none in a dataset."""

    def __init__(self) -> None:
        super().__init__(_LONGEST_NAME)
        self._datasets = {_MANIFEST}
        self._groups: set[str] = set()

    def claim(self, path: tuple[str, ...]) -> str | None:
        """Return the place of a dataset, if there is room for it."""
        *above, place = _steps(path or ("tensor",))
        if place in self._groups or not self._datasets.isdisjoint(above):
            return None
        if super().claim((place,)) is None:
            return None
        self._datasets.add(place)
        self._groups.update(above)
        return place

    def group(self, path: tuple[str, ...]) -> str | None:
        """Return the place of a group; ``/`` for the root."""
        steps = _steps(path)
        if path and (path[0].startswith(_MANIFEST) or len(steps[-1]) > _LONGEST_NAME):
            return None
        if not self._datasets.isdisjoint(steps):
            return None
        self._groups.update(steps)
        return steps[-1] if steps else "/"


def _steps(path: tuple[str, ...]) -> list[str]:
    """Return the places from the root down to a path: ``a``, ``a/b``, ..."""
    parts = [_ESCAPES.get(part, part.replace("/", "\u2215")) for part in path]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _fill(file: h5py.File, encoded: Encoded) -> None:
    document, types, places = encoded.document, encoded.types, _Places()
    sizes = [len(artifact) for artifact in encoded.artifacts]
    entries = entries_of(document, types, sizes, names=places, dtypes=WIDTHS)
    names = [entry.name for entry in entries]
    file[_MANIFEST] = np.array(manifest_of(encoded, names).encode())
    for entry, artifact in zip(entries, encoded.artifacts, strict=True):
        file[entry.name] = array_of(entry, artifact)
    known: set[tuple[str, str]] = set()
    for path, scalar in scalars_of(document, types):
        *above, name = path or ("tensor",)
        place = places.group(tuple(above))
        if place and (place, name) not in known and len(name) <= _LONGEST_NAME:
            known.add((place, name))
            file.require_group(place).attrs.create(name, scalar)


def _content(file: h5py.File, name: str) -> Buffer:
    return bytes_of(np.asarray(dataset_at(file, name)[()]))


register_format(".h5", read=read_h5, write=write_h5)
