"""``ptutils resume``: go on with a run from its newest checkpoint."""

from __future__ import annotations

import typer

from ptutils.cli.options import Database, Overrides, RunId, Trust, open_database
from ptutils.cli.training import train

__all__ = ["resume"]


def resume(
    context: typer.Context,
    run: RunId,
    overrides: Overrides = None,
    db: Database = None,
    trust: Trust = None,
) -> None:
    """Go on with RUN where its newest checkpoint left it."""
    database = open_database(context, db)
    session = database.runs.get(run).resume(config=overrides or [], trust=trust or [])
    train(session, db or context.obj)
