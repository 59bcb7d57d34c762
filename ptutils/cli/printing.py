"""What commands print: tables for people and for pipes, JSON for programs.

``--json`` writes one plain JSON value. What JSON lacks is written as in ProtoJSON:
moments as text in ISO 8601 (UTC, ``Z``), bytes in base 64, and the numbers that are
none as ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.

Source:
    protobuf.dev/programming-guides/json
"""

from __future__ import annotations

import base64
import importlib
import json
import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

import typer

from ptutils.core.results.cells import printable
from ptutils.core.results.table import Table
from ptutils.meta.values import Value

__all__ = ["plain_json", "print_json", "print_table", "say"]


def say(text: str, *, err: bool = False) -> None:
    """Print a text of which parts were stored: a terminal shows it and does not obey.

    Args:
        text: One or several lines.
        err: Print it on stderr, where nobody takes it for the result.
    """
    typer.echo(printable(text), err=err)


def print_table(table: Table) -> None:
    """Print a table on stdout: drawn on a terminal, else separated by tabs."""
    if sys.stdout.isatty():
        importlib.import_module("rich").print(table)
        return
    for row in table.rows:
        typer.echo("\t".join(row))


def print_json(value: Value) -> None:
    """Print one JSON value on stdout, indented."""
    # In ASCII: no control character of a stored text reaches the terminal.
    typer.echo(json.dumps(plain_json(value), indent=2, allow_nan=False))


def plain_json(value: Value) -> Value:
    r"""Return a stored value as plain JSON holds it.

    Example:
        >>> plain_json({"created": datetime(2026, 11, 1, tzinfo=UTC), "loss": math.nan})
        {'created': '2026-11-01T00:00:00.000Z', 'loss': 'NaN'}
        >>> plain_json([b"\x00", math.inf, -math.inf, 0.5])
        ['AA==', 'Infinity', '-Infinity', 0.5]
    """
    if isinstance(value, Mapping):
        return {str(name): plain_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return moment.replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value
