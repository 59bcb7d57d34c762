"""``ptutils resume``: go on with a run from its newest checkpoint."""

from __future__ import annotations

from typing import Annotated

import typer

from ptutils.cli.options import Database, Overrides, RunId, Trust, open_database
from ptutils.cli.training import train

__all__ = ["resume"]


def resume(
    context: typer.Context,
    run: RunId,
    overrides: Overrides = None,
    step: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Go back to the checkpoint of step N.", show_default=False
        ),
    ] = None,
    db: Database = None,
    trust: Trust = None,
) -> None:
    """Go on with RUN where its newest checkpoint left it, or an earlier one."""
    found = open_database(context, db).runs.get(run.lower())
    texts = overrides or []
    changed = found.config.override(*texts)
    changes = {path: changed[path] for path in (t.partition("=")[0] for t in texts)}
    train(found.resume(changes, step=step, trust=trust or []))
