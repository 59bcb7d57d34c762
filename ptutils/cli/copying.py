"""``ptutils export`` and ``import``: runs from one database to another, exactly."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

import ptutils
from ptutils.cli.options import Database, Json, open_database
from ptutils.cli.plain import plain_run
from ptutils.cli.printing import print_json, say
from ptutils.core.results.cells import printable

__all__ = ["export", "import_"]


def export(
    which: Annotated[
        str,
        typer.Argument(
            metavar="RUN|QUERY",
            help="A run's id, or a query such as: tags has best. '' is all runs.",
            show_default=False,
        ),
    ],
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="The database to copy to, such as files:FOLDER; made if need be.",
            show_default=False,
        ),
    ],
    json: Json = False,
    db: Database = None,
) -> None:
    """Copy runs to another database, with all they need."""
    with open_database(db) as database, ptutils.connect(url) as target:
        where = {"_id": database.runs.get(which).id} if which.isalnum() else which
        copied = target.import_runs(database, where, progress=_show_progress)
        _say(copied, target, json)


def import_(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="The database to copy from.", show_default=False
        ),
    ],
    where: Annotated[
        str, typer.Option(metavar="QUERY", help="Which runs.", show_default=False)
    ] = "",
    json: Json = False,
    db: Database = None,
) -> None:
    """Copy runs from another database into this one."""
    source = ptutils.connect(url, create=False)
    with source, open_database(db, create=True) as database:
        copied = database.import_runs(source, where, progress=_show_progress)
        _say(copied, database, json)


def _show_progress(run: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        typer.echo(
            f"\rrun {printable(run)}: {done} of {total}", nl=done == total, err=True
        )


def _say(runs: list[Any], target: Any, json: bool) -> None:
    if json:
        print_json([plain_run(run) for run in runs])
        return
    for run in runs:
        say(f"run {run.id} is in {target.url}")
    if not runs:
        say("no run matches", err=True)
