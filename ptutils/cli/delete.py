"""``ptutils delete``: remove runs and all that only they need."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ptutils.cli.options import Database, RunIds, open_database
from ptutils.cli.printing import say
from ptutils.core.results.cells import one_line

__all__ = ["delete"]


def delete(
    runs: RunIds,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    db: Database = None,
) -> None:
    """Delete runs and all that only they need, for good."""
    with open_database(db) as database:
        found = {each.id: each for each in map(database.runs.get, runs)}
        if not yes:
            _ask(list(found.values()))
        for each in found.values():
            each.delete()
            say(f"run {each.id} is deleted")


def _ask(runs: list[Any]) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            "nobody can be asked here: add --yes to delete for good",
            param_hint="--yes",
        )
    for run in runs:
        words = [
            run.experiment,
            run.status.phase,
            f"step {run.status.progress['step']}",
        ]
        told = ", ".join(one_line(str(word)) for word in words if word)
        say(f"run {run.id}: {told}")
    typer.confirm("Delete for good?", abort=True)
