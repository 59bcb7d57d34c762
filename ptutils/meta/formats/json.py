"""JSON files: indented, UTF-8, with the codec's one-key dicts for what JSON lacks."""

from __future__ import annotations

import json
from pathlib import Path

from ptutils.errors import DecodeError, FormatError
from ptutils.meta.codec import dumps, loads
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.formats.sidecar import join, split
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value

__all__ = ["read_json", "write_json"]


def read_json(path: Path, *, trust: bool = False) -> Value:
    """Return the value that a JSON file holds.

    Args:
        path: The file.
        trust: Make objects of any class that the file names; this runs their code.

    Raises:
        FormatError: If the file is not JSON in UTF-8, repeats a key, or has objects
            and is not trusted.
        DecodeError: If its sidecar is damaged.
    """
    try:
        document = loads(path.read_text("utf-8-sig"))
    except (DecodeError, UnicodeDecodeError) as error:
        raise FormatError(
            f"cannot read {path}",
            expected=getattr(error, "expected", "") or "text in UTF-8",
            got=getattr(error, "got", "") or str(error),
        ) from error
    return split(document, path, trust=trust)


def write_json(path: Path, value: Value, *, trust: bool = False) -> None:
    """Write a value as a JSON file, which appears whole.

    Args:
        path: The file.
        value: Anything.
        trust: Keep objects that the codec does not store; they are read with trust.

    Raises:
        EncodeError: If a part of the value cannot be stored.
    """
    document = json.loads(dumps(join(value, trust=trust)))
    text = json.dumps(document, indent=2, ensure_ascii=False)
    with replacing(path) as file:
        file.write(f"{text}\n".encode())


register_format(".json", read=read_json, write=write_json, executes=True)
