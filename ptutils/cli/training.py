"""What ``run`` and ``resume`` share: train a session and say what can be done next."""

from __future__ import annotations

import shlex
from typing import Any

import typer

from ptutils.cli.cells import format_value
from ptutils.cli.options import DEFAULT_DB
from ptutils.cli.summary import statistics_of

__all__ = ["train"]


def train(session: Any, db: str | None) -> None:
    """Run ``session`` to its end, and print how it went and the commands to go on.

    Args:
        session: A Session that was built or resumed.
        db: The database as the person named it, to be repeated in the commands.
    """
    where = [] if db in (None, DEFAULT_DB) else ["--db", str(db)]
    typer.echo(f"run {session.id}")
    session.run()
    typer.echo(_result(session))
    typer.echo("\nTo find it, look at it, or go on with it:")
    for command in (
        ["ls", _query(session), *where],
        ["show", session.id, *where],
        ["resume", session.id, *_longer(session), *where],
    ):
        typer.echo(f"  ptutils {shlex.join(command)}")


def _result(session: Any) -> str:
    progress = session.status.progress
    statistics = statistics_of(session.history.summary())
    measured = [
        f"{name} {format_value(values['last'])}"
        for name, values in statistics.items()
        if not name.startswith("train.")
    ]
    reached = f"{progress['step']} steps, {progress['epoch']} epochs"
    return ", ".join([f"{session.status.phase} after {reached}", *measured])


def _query(session: Any) -> str:
    return f'experiment = "{session.experiment}"'


def _longer(session: Any) -> list[str]:
    """Return the setting that lets a completed run train for twice as long."""
    if session.status.phase != "completed":
        return []
    duration = session.schedule.duration
    return [f"schedule.duration={2 * duration.count} {duration.unit}"]
