"""Documents as text that a person reads and may edit: YAML and JSON."""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from pathlib import Path
from typing import Final

from ptutils.errors import CorruptError, DecodeError, FormatError
from ptutils.meta.codec import dumps, loads
from ptutils.meta.values import Document, Value
from ptutils.meta.yaml import read_written_yaml, write_yaml

__all__ = ["as_json", "as_yaml", "read_json_text", "read_yaml_text"]

_FIX: Final = "mend the file, or restore it from a copy"


def as_yaml(document: Document) -> bytes | None:
    """Return a document as YAML, or None if it would not read back the same."""
    text = write_yaml(document)
    try:
        again = read_written_yaml(text, "")
        is_same = dumps(again) == dumps(document)
    except (FormatError, TypeError):
        is_same = False
    return text.encode() if is_same else None


def read_yaml_text(path: Path, content: bytes) -> Value:
    """Return what a YAML file holds.

    Raises:
        CorruptError: If it is none; the message names the line.
    """
    try:
        return read_written_yaml(_text(path, content), str(path))
    except FormatError as error:
        raise CorruptError(
            error.what, expected=error.expected, got=error.got, fix=error.fix or _FIX
        ) from error


def as_json(document: Document) -> bytes:
    """Return a document as JSON, indented, with short lists on one line."""
    parts: list[str] = []
    _write(json.loads(dumps(document)), "\n", parts)
    return ("".join(parts) + "\n").encode()


def read_json_text(path: Path, content: bytes) -> Value:
    """Return what a JSON file holds.

    Raises:
        CorruptError: If it is none; the message names the line.
    """
    text = _text(path, content)
    try:
        return loads(text)
    except DecodeError as error:
        cause = error.__cause__
        line = cause.lineno if isinstance(cause, json.JSONDecodeError) else 0
        raise CorruptError(
            f"cannot read {path}, line {line}" if line else f"cannot read {path}",
            expected=error.expected or "well-formed JSON",
            got=error.got,
            fix=_FIX,
        ) from error


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CorruptError(
            f"cannot read {path}, line {line}",
            expected="text in UTF-8",
            got=str(error),
            fix=_FIX,
        ) from error


def _write(value: Value, indent: str, parts: list[str]) -> None:
    if isinstance(value, dict) and value and not next(iter(value)).startswith("$"):
        inner = indent + "  "
        opening = "{"
        for name, each in value.items():
            parts += (opening, inner, encode_basestring(name), ": ")
            _write(each, inner, parts)
            opening = ","
        parts += (indent, "}")
    elif isinstance(value, list) and any(
        isinstance(each, list | dict) for each in value
    ):
        inner = indent + "  "
        opening = "["
        for each in value:
            parts += (opening, inner)
            _write(each, inner, parts)
            opening = ","
        parts += (indent, "]")
    else:
        parts.append(json.dumps(value, ensure_ascii=False))
