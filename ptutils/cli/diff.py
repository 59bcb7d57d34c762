"""``ptutils diff``: where two runs differ."""

from __future__ import annotations

from typing import Annotated

import typer

import ptutils
from ptutils.cli.options import Database, Json, RunId, open_database
from ptutils.cli.printing import print_json, print_table

__all__ = ["diff"]


def diff(
    run: RunId,
    other: RunId,
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
        print_json({section: found[section] for section in found})
    elif found:
        print_table(found.table())
    else:
        typer.echo("no difference in config, source and summary", err=True)
