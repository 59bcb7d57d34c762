"""Pickle files: any object of Python. Reading runs what the file says: needs trust."""

from __future__ import annotations

import pickle
from pathlib import Path

from ptutils.errors import EncodeError, FormatError
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value

__all__ = ["read_pickle", "write_pickle"]


def read_pickle(path: Path) -> Value:
    """Return the object that a pickle file makes; this runs the code that it names.

    Raises:
        FormatError: If the file is no pickle, or names what is not here.
    """
    content = path.read_bytes()
    try:
        return pickle.loads(content)  # noqa: S301 - reached with trust only
    except Exception as error:  # The file's own code may raise anything.
        raise FormatError(
            f"cannot read {path}",
            expected="a pickle of objects whose classes are importable here",
            got=f"{type(error).__name__}: {error}",
        ) from error


def write_pickle(path: Path, value: Value) -> None:
    """Write a value as a pickle file, which appears whole.

    Raises:
        EncodeError: If the value cannot be pickled.
    """
    try:
        content = pickle.dumps(value, protocol=5)
    except (AttributeError, TypeError, pickle.PicklingError, RecursionError) as error:
        raise EncodeError("cannot pickle this value", got=str(error)) from error
    with replacing(path) as file:
        file.write(content)


register_format(".pkl", read=read_pickle, write=write_pickle, executes=True)
