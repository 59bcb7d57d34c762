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
    try:
        run = session.run()
    except BaseException:
        if session.id:
            command = shlex.join(["ptutils", "resume", session.id, *where])
            typer.echo(f"\nrun {session.id} is saved; go on with: {command}", err=True)
        raise
    if run is None:  # The config says that nothing is kept.
        return
    typer.echo(f"run {run.id} {_result(run)}")
    typer.echo("\nTo find it, look at it, or go on with it:")
    for words in (
        ["ls", f'experiment = "{session.experiment}"', *where],
        ["show", run.id, *where],
        ["resume", run.id, *_longer(session), *where],
    ):
        typer.echo(f"  ptutils {shlex.join(words)}")


def _result(run: Any) -> str:
    progress = run.status.progress
    statistics = statistics_of(run.summary)
    measured = [
        f"{name} {format_value(values['last'])}"
        for name, values in statistics.items()
        if not name.startswith("train.")
    ]
    reason = f" ({run.status.reason})" if run.status.reason else ""
    reached = f"{progress['step']} steps, {progress['epoch']} epochs"
    return ", ".join([f"{run.status.phase}{reason} after {reached}", *measured])


def _longer(session: Any) -> list[str]:
    """Return the setting that lets a completed run train for twice as long."""
    duration = session.schedule.duration
    return [f"schedule.duration={2 * duration.count} {duration.unit}"]
