"""YAML files: a config as a person would write it."""

from __future__ import annotations

from pathlib import Path

from ptutils.errors import FormatError
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.formats.sidecar import join, split
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value
from ptutils.meta.yaml import read_yaml, write_yaml

__all__ = ["read_yaml_file", "write_yaml_file"]


def read_yaml_file(path: Path, *, trust: bool = False) -> Value:
    """Return the value that a YAML file holds.

    Args:
        path: The file.
        trust: Make objects of any class that the file names; this runs their code.

    Raises:
        FormatError: If the file is not YAML in UTF-8, repeats a key, has a tag that
            only code could make, or has objects and is not trusted.
        DecodeError: If its sidecar is damaged.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"cannot read {path}", expected="text in UTF-8", got=str(error)
        ) from error
    return split(read_yaml(text, str(path)), path, trust=trust)


def write_yaml_file(path: Path, value: Value, *, trust: bool = False) -> None:
    """Write a value as a YAML file, which appears whole.

    Args:
        path: The file.
        value: Anything.
        trust: Keep objects that the codec does not store; they are read with trust.

    Raises:
        EncodeError: If a part of the value cannot be stored.
    """
    text = write_yaml(join(value, trust=trust))
    with replacing(path) as file:
        file.write(text.encode())


register_format(".yaml", read=read_yaml_file, write=write_yaml_file, executes=True)
register_format(".yml", read=read_yaml_file, write=write_yaml_file, executes=True)
