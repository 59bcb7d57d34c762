"""TOML files: configs that a person wrote. They are read only."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NoReturn

from ptutils.errors import FormatError
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Document, Value

__all__ = ["read_toml", "write_toml"]


def read_toml(path: Path) -> Document:
    """Return the tables of a TOML file as nested dicts.

    Raises:
        FormatError: If the file is not TOML in UTF-8.
    """
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"cannot read {path}", expected="TOML in UTF-8", got=str(error)
        ) from error


def write_toml(path: Path, value: Value) -> NoReturn:
    """Refuse to write.

    Raises:
        FormatError: Always; TOML has no null, among others.
    """
    raise FormatError(
        f"cannot write {path}",
        expected="a format that can hold any value",
        got=".toml, which is only read",
        fix="choose .yaml or .json",
    )


register_format(".toml", read=read_toml, write=write_toml)
