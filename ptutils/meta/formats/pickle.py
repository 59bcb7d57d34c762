"""Pickle files: any object of Python. Reading runs what the file says: needs trust."""

from __future__ import annotations

import pickle
import pickletools
from pathlib import Path
from typing import Final

from ptutils.errors import EncodeError, FormatError
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value

__all__ = ["read_pickle", "write_pickle"]

_MOST_NAMES: Final = 12
_PUTS: Final = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS: Final = {"GET", "BINGET", "LONG_BINGET"}


def read_pickle(path: Path, *, trust: bool = False) -> Value:
    """Return the object that a pickle file makes; this runs the code that it names.

    Args:
        path: The file.
        trust: Run it.

    Raises:
        FormatError: If the file is no pickle, names what is not here, or is not
            trusted; the error tells what would run.
    """
    content = path.read_bytes()
    if not trust:
        raise FormatError(
            f"cannot read {path} without trust",
            expected="a format that holds values only",
            got=f"{path.suffix}, which runs code that the file names: "
            + _listed(_names(content)),
            fix="pass trust=True if you know who wrote it",
        )
    try:
        return pickle.loads(content)  # noqa: S301 - trusted
    except Exception as error:  # The file's own code may raise anything.
        raise FormatError(
            f"cannot read {path}",
            expected="a pickle of objects whose classes are importable here",
            got=f"{type(error).__name__}: {error}",
        ) from error


def write_pickle(path: Path, value: Value, *, trust: bool = False) -> None:
    """Write a value as a pickle file, which appears whole.

    Args:
        path: The file.
        value: Anything that can be pickled.
        trust: Say that you want a file that only those can read who trust you.

    Raises:
        FormatError: If ``trust`` is off.
        EncodeError: If the value cannot be pickled.
    """
    if not trust:
        raise FormatError(
            f"cannot write {path} without trust",
            expected="a format that is read without running code",
            got=path.suffix,
            fix="choose .safetensors or .yaml, or pass trust=True, on reading as well",
        )
    try:
        content = pickle.dumps(value, protocol=5)
    except (AttributeError, TypeError, pickle.PicklingError, RecursionError) as error:
        raise EncodeError("cannot pickle this value", got=str(error)) from error
    with replacing(path) as file:
        file.write(content)


def _names(content: bytes) -> dict[str, None]:
    """Return what a pickle would import, looking at its operations alone."""
    names: dict[str, None] = {}
    texts: list[str] = []
    memory: dict[int, str] = {}
    try:
        for operation, argument, _ in pickletools.genops(content):
            if operation.name in ("GLOBAL", "INST"):
                names[str(argument).replace(" ", ".")] = None
            elif operation.name == "STACK_GLOBAL":
                names[".".join(texts[-2:])] = None
            elif operation.name in _PUTS:
                place = len(memory) if argument is None else int(str(argument))
                memory[place] = texts[-1] if texts else ""
            elif operation.name in _GETS:
                texts.append(memory[int(str(argument))])
            elif isinstance(argument, str):
                texts.append(argument)
    except (ValueError, LookupError):
        names["..."] = None  # What cannot be read cannot be told.
    return names


def _listed(names: dict[str, None]) -> str:
    shown = ", ".join(list(names)[:_MOST_NAMES]) or "nothing but values"
    return f"{shown}, ..." if len(names) > _MOST_NAMES else shown


register_format(".pkl", read=read_pickle, write=write_pickle, executes=True)
