"""``ptutils evaluate``: measure a checkpoint of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from ptutils.cli.options import (
    Database,
    Overrides,
    RunId,
    Step,
    To,
    Trust,
    open_database,
)
from ptutils.cli.training import changes_in, train

__all__ = ["evaluate"]


def evaluate(
    run: RunId,
    overrides: Overrides = None,
    step: Step = None,
    split: Annotated[
        str, typer.Option(metavar="NAME", help="The data to measure on.")
    ] = "valid",
    to: To = None,
    db: Database = None,
    trust: Trust = None,
) -> None:
    """Measure a checkpoint of RUN; the result is a new run."""
    found = open_database(db).runs.get(run)
    session = found.evaluate(
        changes_in(found, overrides),
        step=step,
        split=split,
        db=to,
        trust=trust or [],
    )
    train(session)
