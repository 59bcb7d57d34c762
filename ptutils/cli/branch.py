"""``ptutils branch``: a new run that starts at a checkpoint of another."""

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

__all__ = ["branch"]


def branch(
    run: RunId,
    overrides: Overrides = None,
    step: Step = None,
    select: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Load only these paths of the checkpoint, such as trainer.model.net.*",
            show_default=False,
        ),
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW",
            help="Load what the checkpoint calls OLD into NEW.",
            show_default=False,
        ),
    ] = None,
    to: To = None,
    db: Database = None,
    trust: Trust = None,
) -> None:
    """Start a new run from a checkpoint of RUN."""
    found = open_database(db).runs.get(run)
    session = found.branch(
        changes_in(found, overrides),
        step=step,
        select=select or None,
        rename=_pairs(rename) or None,
        db=to,
        trust=trust or [],
    )
    train(session)


def _pairs(texts: list[str] | None) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts or ()]
    for old, _, new in pairs:
        if not (old and new):
            raise typer.BadParameter(
                f"{old!r} does not say what to rename to what",
                param_hint="--rename OLD=NEW",
            )
    return {old: new for old, _, new in pairs}
