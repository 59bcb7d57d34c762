"""``ptutils stop``, ``pause``, ``checkpoint``: what another process is asked to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from ptutils.cli.options import Database, RunId, open_database

__all__ = ["ask", "checkpoint", "pause", "stop"]

_PATIENCE_S = 10.0  # A run looks every two seconds, between two steps.


def stop(run: RunId, db: Database = None) -> None:
    """Let a running RUN save itself and end."""
    with open_database(db) as database:
        ask(database.runs.get(run), "stops", lambda found: found.stop())


def pause(run: RunId, db: Database = None) -> None:
    """Let a running RUN wait until it is resumed."""
    with open_database(db) as database:
        ask(database.runs.get(run), "pauses", lambda found: found.pause())


def checkpoint(run: RunId, db: Database = None) -> None:
    """Let a running RUN save a checkpoint now."""
    with open_database(db) as database:
        found = database.runs.get(run)
        ask(found, "saves a checkpoint", lambda each: each.ask_for_checkpoint())


def ask(run: Any, answer: str, request: Callable[[Any], None]) -> None:
    """Ask something of a living run, and say whether it has seen it.

    Args:
        run: Which.
        answer: What a run does that has seen it.
        request: Asks for it.
    """
    request(run)
    if run.wait(_PATIENCE_S):
        typer.echo(f"run {run.id} {answer}")
    else:
        typer.echo(
            f"run {run.id} was asked; it has not answered within {_PATIENCE_S:.0f} s",
            err=True,
        )
