"""What ``run`` and ``resume`` share: train a session and say what can be done next."""

from __future__ import annotations

import shlex
from typing import Any

import typer

from ptutils.cli.options import DEFAULT_DB

__all__ = ["train"]


def train(session: Any, db: str | None) -> None:
    """Run ``session`` to its end, and print how it went and the commands to go on.

    Args:
        session: A Session that was built or resumed.
        db: The database as the person named it, to be repeated in the commands.
    """
    typer.echo(f"run {session.id}")
    session.run()
    phase = session.status.phase
    where = "" if db in (None, DEFAULT_DB) else f" --db {shlex.quote(str(db))}"
    typer.echo(f"{phase} {_metrics(session)}".rstrip())
    typer.echo(f"\n  ptutils ls{where} {_query(session)}")
    typer.echo(f"  ptutils show{where} {session.id}")
    typer.echo(f"  ptutils resume{where} {session.id} {_extension(session)}".rstrip())
