"""The table of file formats, and reading and writing by it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from ptutils.errors import FormatError, nearest
from ptutils.meta.values import Value

__all__ = ["Reader", "Writer", "read", "register_format", "write"]

Reader: TypeAlias = Callable[..., Value]
"""From a path; with the keyword ``trust`` if the format may run code."""

Writer: TypeAlias = Callable[..., None]
"""A value to a path; with the keyword ``trust`` if the format may run code."""

# The modules are loaded when their suffix is first met: torch must not come along
# with a config file.
_MODULES = {
    ".bin": "ptutils.meta.formats.pt",
    ".ckpt": "ptutils.meta.formats.pt",
    ".h5": "ptutils.meta.formats.h5",
    ".json": "ptutils.meta.formats.json",
    ".lmdb": "ptutils.meta.formats.lmdb",
    ".npz": "ptutils.meta.formats.npz",
    ".pkl": "ptutils.meta.formats.pickle",
    ".pt": "ptutils.meta.formats.pt",
    ".pth": "ptutils.meta.formats.pt",
    ".safetensors": "ptutils.meta.formats.safetensors",
    ".safetensors.index.json": "ptutils.meta.formats.shards",
    ".tfrecord": "ptutils.meta.formats.tfrecord",
    ".toml": "ptutils.meta.formats.toml",
    ".yaml": "ptutils.meta.formats.yaml",
    ".yml": "ptutils.meta.formats.yaml",
}
_FORMATS: dict[str, tuple[Reader, Writer, bool]] = {}


def register_format(
    suffix: str, *, read: Reader, write: Writer, executes: bool = False
) -> None:
    """Make files of a suffix readable and writable.

    Args:
        suffix: With its dot, in lower case: ``.json``. Of ``.b`` and ``.a.b`` the
            longer one is taken for a file that ends so.
        read: Returns the value that a path holds.
        write: Takes a path and a value; the file must appear whole or not at all.
        executes: Whether files may hold what is made by running code. Then ``read`` and
            ``write`` take a keyword ``trust``, and without it run and write no such
            thing.
    """
    _load(suffix)  # so that ours does not replace this one later
    _FORMATS[suffix] = (read, write, executes)


def read(path: str | os.PathLike[str], *, trust: bool = False) -> Value:
    """Return the value that a file holds.

    Args:
        path: Its suffix tells the format.
        trust: Run code that the file names.

    Raises:
        FormatError: If the suffix is unknown, the file needs trust and has none, or it
            cannot be read.
        DecodeError: If the file is damaged.
    """
    file = Path(path)
    reader, _, executes = _format_of(file)
    try:
        return reader(file, trust=trust) if executes else reader(file)
    except OSError as error:
        raise FormatError(
            f"cannot read {file}",
            expected="a file that is there and may be read",
            got=error.strerror or str(error),
            fix=_near_file(file),
        ) from error


def write(path: str | os.PathLike[str], value: Value, *, trust: bool = False) -> Path:
    """Write a value to a file, which appears whole and durable, or not at all.

    Args:
        path: Its suffix tells the format.
        value: Anything that the format can hold.
        trust: Write objects that are read by running their code, if the format can.

    Returns:
        The path written.

    Raises:
        FormatError: If the suffix is unknown, or the file cannot be written.
        EncodeError: If a value cannot be stored exactly.
    """
    file = Path(path)
    _, writer, executes = _format_of(file)
    try:
        if executes:
            writer(file, value, trust=trust)
        else:
            writer(file, value)
    except OSError as error:
        raise FormatError(
            f"cannot write {file}",
            expected="room, and the right to write",
            got=error.strerror or str(error),
            fix="choose a folder that exists, may be written and has room",
        ) from error
    return file


def _format_of(file: Path) -> tuple[Reader, Writer, bool]:
    suffix = file.suffix.lower()
    known = None
    # The longest suffix wins: .safetensors.index.json is not .json.
    for start in range(len(file.suffixes)):
        longer = "".join(file.suffixes[start:]).lower()
        _load(longer)
        known = known or _FORMATS.get(longer)
    if known is None:
        names = sorted({*_FORMATS, *_MODULES})
        near = nearest(suffix, names)
        raise FormatError(
            f"cannot tell the format of {file}",
            expected=", ".join(names),
            got=repr(file.suffix),
            fix=f"did you mean {near!r}?" if near else "use one of these suffixes",
        )
    return known


def _load(suffix: str) -> None:
    if suffix in _MODULES:
        importlib.import_module(_MODULES[suffix])


def _near_file(file: Path) -> str:
    others = os.listdir(file.parent) if file.parent.is_dir() else ()
    near = nearest(file.name, [name for name in others if name != file.name])
    return (
        f"did you mean {str(file.with_name(near))!r}?"
        if near
        else "check its name and its permissions"
    )
