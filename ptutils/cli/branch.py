"""``ptutils branch``: a new run that starts at a checkpoint of another."""

from __future__ import annotations

from typing import Annotated, Any

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
from ptutils.core.restoring.part import Mode

__all__ = ["branch"]


def _mode(what: str, usual: Mode) -> Any:
    help_text = f"What to do about {what}. [default, of a part: {usual}]"
    return typer.Option(help=help_text, show_default=False)


def branch(  # noqa: PLR0913 - each is an option of the command line
    run: RunId,
    *,
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
    missing: Annotated[
        Mode | None, _mode("what the checkpoint lacks", Mode.SKIP)
    ] = None,
    unexpected: Annotated[
        Mode | None, _mode("what the new run lacks", Mode.SKIP)
    ] = None,
    mismatched: Annotated[
        Mode | None, _mode("what has another shape", Mode.ERROR)
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
        missing=missing,
        unexpected=unexpected,
        mismatched=mismatched,
        db=to,
        trust=trust or [],
    )
    if session.load_report.missing or session.load_report.mismatched:
        typer.echo(session.load_report, err=True)
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
