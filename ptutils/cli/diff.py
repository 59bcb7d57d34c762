"""``ptutils diff``: where two runs differ."""

from __future__ import annotations

from typing import Annotated

import typer

import ptutils
from ptutils.cli.options import Database, Json, RunId, open_database
from ptutils.cli.printing import print_json, print_table, say
from ptutils.meta.codec import encode
from ptutils.meta.plain import ABSENT
from ptutils.meta.values import Document, Value

__all__ = ["diff"]

_SIDES = ("ours", "theirs")


def diff(
    run: RunId,
    other: Annotated[
        str,
        typer.Argument(
            metavar="OTHER",
            parser=str.lower,
            help="Another run, in the same way.",
            show_default=False,
        ),
    ],
    of: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The database of the second run.", show_default=False
        ),
    ] = None,
    json: Json = False,
    db: Database = None,
) -> None:
    """Show where two runs differ in config, source and summary."""
    with open_database(db) as database:
        elsewhere = ptutils.connect(of, create=False) if of else database
        found = database.runs.get(run).diff(elsewhere.runs.get(other))
    if json:
        print_json({section: _plain(found[section]) for section in found})
    elif found:
        print_table(found.table())
    else:
        say("no difference in config, source and summary", err=True)


def _plain(pairs: dict[str, tuple[Value, Value]]) -> Document:
    """Return each pair as plain values; a side that has nothing is left out."""
    return {
        path: {
            side: encode(value).document
            for side, value in zip(_SIDES, pair, strict=True)
            if value is not ABSENT
        }
        for path, pair in pairs.items()
    }
