"""``ptutils resume``: go on with a run from its newest checkpoint."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ptutils.cli.asking import go_on
from ptutils.cli.options import Database, Overrides, RunId, Step, Trust, open_database
from ptutils.cli.training import changes_in, train
from ptutils.errors import LeaseError
from ptutils.meta.status import Phase

__all__ = ["resume"]


def resume(
    run: RunId,
    overrides: Overrides = None,
    step: Step = None,
    fallback: Annotated[
        bool,
        typer.Option(
            "--fallback",
            help="Where that checkpoint is damaged, go back to the newest that is not.",
        ),
    ] = False,
    db: Database = None,
    trust: Trust = None,
) -> None:
    """Go on with RUN from its newest checkpoint, or another.

    A run that was paused goes on in the process that holds it, as it is.
    """
    database = open_database(db)
    found = database.runs.get(run)
    if found.status.phase is Phase.PAUSED:
        _require_unchanged(found, overrides, step)
        go_on(found)
    else:
        changes = changes_in(found, overrides)
        train(found.resume(changes, step=step, trust=trust or [], fallback=fallback))


def _require_unchanged(run: Any, overrides: list[str] | None, step: int | None) -> None:
    """Refuse to change a run that waits in another process."""
    asked = [*(overrides or []), *([] if step is None else [f"--step {step}"])]
    if asked:
        raise LeaseError(
            f"cannot change run {run.id!r}, which is paused",
            expected="no changes: its process lives, and goes on as it is",
            got=" ".join(asked),
            fix=f"let it go on with: ptutils resume {run.id}; "
            f"or end it first: ptutils stop {run.id}",
        )
