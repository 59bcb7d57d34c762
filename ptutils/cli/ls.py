"""``ptutils ls``: the runs that match, side by side where they differ."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ptutils.cli.hints import paths_in, unknown_paths, unlike_values
from ptutils.cli.options import Database, Json, open_database
from ptutils.cli.plain import plain_run
from ptutils.cli.printing import print_json, print_table, say
from ptutils.core.records.query import parse_query, stored_path
from ptutils.core.results.columns import columns_of
from ptutils.core.results.table import Table
from ptutils.meta.values import Document

__all__ = ["ls"]

_SHOWN = {"archived": {"$ne": True}}
_MOST = 10**9


def ls(
    query: Annotated[
        str,
        typer.Argument(
            metavar="QUERY",
            help="Such as: config.seed = 1 and summary.valid.accuracy.max > 0.9",
            show_default=False,
        ),
    ] = "",
    sort: Annotated[
        str, typer.Option(metavar="[-]PATH", help="What to sort by; - reverses.")
    ] = "-created",
    limit: Annotated[
        int,
        typer.Option(
            min=0, max=_MOST, metavar="N", help="The most runs to list; 0 lists all."
        ),
    ] = 30,
    archived: Annotated[
        bool, typer.Option("--archived", help="List archived runs as well.")
    ] = False,
    json: Json = False,
    db: Database = None,
) -> None:
    """List runs, the newest first."""
    wanted = parse_query(query)
    asked = list(paths_in(wanted))
    path = stored_path(sort.removeprefix("-"))
    order = [(path, -1 if sort.startswith("-") else 1)]
    order += [("created", -1)] if path != "created" else []
    shown = wanted if archived or "archived" in asked else _unarchived(wanted)
    with open_database(db) as database:
        most = limit and limit + 1  # One more tells whether there are more.
        runs = database.runs.find(shown, sort=order, limit=most)
        hidden = 0 if runs or shown is wanted else len(database.runs.find(wanted))
        for line in unknown_paths(database.runs, [*asked, path]):
            say(line, err=True)
        for line in () if runs or hidden else unlike_values(database.runs, wanted):
            say(line, err=True)
        listed = runs[:limit] if limit else runs
        if json:
            print_json([plain_run(run) for run in listed])
    rows = [run.document for run in listed]
    if rows and not json:
        print_table(Table(columns_of(rows, datetime.now(UTC), first=path)))
    if not rows:
        say("no runs" if not query else "no run matches", err=True)
    if hidden:
        say(f"{hidden} archived; --archived lists them", err=True)
    if len(runs) > len(rows):
        say("there are more; --limit 0 lists all", err=True)


def _unarchived(filter: Document) -> Document:
    return {"$and": [filter, _SHOWN]} if filter else _SHOWN
