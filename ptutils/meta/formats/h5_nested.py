"""What an HDF5 file of any origin holds, if nothing in it leads outside.

Source:
    https://docs.h5py.org/en/stable/high/group.html, section Link classes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import h5py
import numpy as np

from ptutils.errors import FormatError, PtutilsError
from ptutils.meta.codec.encode import MAX_DEPTH
from ptutils.meta.values import Value

__all__ = ["dataset_at", "nested", "opened"]

_FAULTS: Final = (
    ArithmeticError, AttributeError, LookupError, MemoryError, NotImplementedError,
    OSError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What h5py raises for files that are damaged, or of a kind it does not read."""

_DENSEST: Final = 1100
"""How many times larger than its file a dataset may be; deflate reaches 1032."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises:
        FormatError: If it is not HDF5, or reading it in the body fails.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except PtutilsError:
        raise
    except _FAULTS as error:
        raise FormatError(
            f"cannot read {path}", expected="an HDF5 file", got=str(error)
        ) from error


def nested(file: h5py.File, size: int) -> dict[str, Value]:
    """Return groups as dicts of their members and attributes, datasets as arrays.

    A member hides an attribute of the same name; attributes of datasets are passed
    over. A group or dataset with two names comes back as one object.

    Args:
        file: Open for reading.
        size: Of the file, in bytes.

    Raises:
        FormatError: If something is not in the file itself, or needs code to be made.
    """
    return _Reader(size).group(file)


def dataset_at(file: h5py.Group, place: str) -> h5py.Dataset:
    """Return the dataset at a place in a file, if all of it is in the file itself.

    Raises:
        KeyError: If there is none.
        FormatError: If a link or the dataset leads outside of the file.
    """
    found = file
    for name in place.split("/"):
        is_there = isinstance(found, h5py.Group) and found.get(name, getlink=True)
        if not is_there:
            raise KeyError(place)
        found = _member(found, name)
    if not isinstance(found, h5py.Dataset):
        raise KeyError(place)
    return _own(found)


class _Reader:
    """One walk over a file."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: dict[int, Value] = {}
        self._open: list[int] = []

    def group(self, group: h5py.Group) -> dict[str, Value]:
        number = h5py.h5o.get_info(group.id).addr
        if number in self._open or len(self._open) > MAX_DEPTH:
            _refuse(group.name, f"at most {MAX_DEPTH} groups inside each other", "more")
        if number not in self._known:
            self._open.append(number)
            held = {name: self._attribute(group, name) for name in group.attrs}
            for name in group:
                held[name] = self._value(_member(group, name))
            self._known[self._open.pop()] = held
        known: dict[str, Value] = self._known[number]
        return known

    def _value(self, member: Value) -> Value:
        if isinstance(member, h5py.Group):
            return self.group(member)
        if not isinstance(member, h5py.Dataset):
            _refuse(member.name, "a group or dataset", type(member).__name__)
        number = h5py.h5o.get_info(member.id).addr
        if number not in self._known:
            self._known[number] = self._dataset(member)
        return self._known[number]

    def _dataset(self, dataset: h5py.Dataset) -> Value:
        _own(dataset)
        if dataset.shape is None:
            return None
        if dataset.nbytes > _DENSEST * self._size:
            got = f"one of {dataset.nbytes}"
            expected = f"a dataset that fits a file of {self._size} bytes"
            _refuse(dataset.name, expected, got)
        if h5py.check_string_dtype(dataset.dtype) and dataset.dtype.hasobject:
            return _listed(dataset.asstr()[()])
        return _plain(dataset.name, dataset.dtype, lambda: dataset[()])

    def _attribute(self, group: h5py.Group, name: str) -> Value:
        place = f"{group.name}@{name}"
        dtype = group.attrs.get_id(name).dtype
        if h5py.check_string_dtype(dtype) and dtype.hasobject:
            return _listed(group.attrs[name])
        value = _plain(place, dtype, lambda: group.attrs[name])
        return value.item() if isinstance(value, np.generic) else value


def _member(group: h5py.Group, name: str) -> Value:
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        kind = type(link).__name__
        _refuse(f"{group.name}/{name}", "something in the file itself", f"a {kind}")
    return group[name]


def _own(dataset: h5py.Dataset) -> h5py.Dataset:
    if dataset.is_virtual or dataset.external:
        expected = "a dataset in the file itself"
        _refuse(dataset.name, expected, "one that takes its bytes from other files")
    return dataset


def _plain(place: str, dtype: np.dtype[Any], read: Any) -> Value:
    if dtype.hasobject:
        _refuse(place, "numbers, texts or bytes", f"{dtype}, such as references")
    value = read()
    if isinstance(value, h5py.Empty):
        return None
    if dtype.metadata:  # h5py's notes, of enums for example
        value = np.asarray(value).view(dtype.str)[()]
    return value


def _listed(texts: Value) -> Value:
    if isinstance(texts, h5py.Empty):
        return None
    return texts.tolist() if isinstance(texts, np.ndarray) else texts


def _refuse(place: str, expected: str, got: str) -> NoReturn:
    raise FormatError(
        "cannot read this HDF5 file", path=place, expected=expected, got=got
    )
