"""What ``run`` and ``resume`` share: train a session and say what can be done next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import typer

from ptutils.cli.cells import format_value
from ptutils.cli.options import DEFAULT_DB
from ptutils.cli.summary import statistics_of

__all__ = ["train"]


def train(session: Any) -> None:
    """Run ``session`` to its end, and print how it went and the commands to go on.

    Args:
        session: A Session that was built or resumed.
    """
    try:
        run = session.run()
    except BaseException:
        if session.id:
            command = _command(session, "resume", session.id)
            typer.echo(f"\nrun {session.id} is saved; go on with: {command}", err=True)
        raise
    typer.echo(" ".join(["run", *([session.id] if run else []), _result(session)]))
    if run is None:  # The config says that nothing is kept.
        return
    typer.echo("\nTo find it, look at it, or go on with it:")
    for words in (
        ["ls", f'experiment = "{session.experiment}"'],
        ["show", run.id],
        ["resume", run.id, _longer(session)],
    ):
        typer.echo(f"  {_command(session, *words)}")


def _command(session: Any, *words: str) -> str:
    """Return a command line that works here, on the database of ``session``."""
    called, found = Path(sys.argv[0]), shutil.which("ptutils")
    is_elsewhere = found is None or Path(found).resolve() != called.resolve()
    program = str(called) if called.name == "ptutils" and is_elsewhere else "ptutils"
    url = session.dbinterface.url
    is_usual = url == os.environ.get("PTUTILS_DB", DEFAULT_DB)
    return shlex.join([program, *words, *([] if is_usual else ["--db", url])])


def _result(session: Any) -> str:
    status, statistics = session.status, statistics_of(session.history.summary())
    measured = [
        f"{name} {format_value(values['last'])}"
        for name, values in statistics.items()
        if not name.startswith("train.")
    ]
    reason = f" ({status.reason})" if status.reason else ""
    reached = f"{session.trainer.step} steps, {session.trainer.epoch} epochs"
    return ", ".join([f"{status.phase}{reason} after {reached}", *measured])


def _longer(session: Any) -> str:
    """Return the setting that lets a completed run train for twice as long."""
    duration = session.schedule.duration
    return f"schedule.duration={2 * duration.count} {duration.unit}"
