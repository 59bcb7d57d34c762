"""``ptutils resume``: go on with a run from its newest checkpoint."""

from __future__ import annotations

from ptutils.cli.asking import go_on
from ptutils.cli.options import Database, Overrides, RunId, Step, Trust, open_database
from ptutils.cli.training import changes_in, train
from ptutils.meta.status import Phase

__all__ = ["resume"]


def resume(
    run: RunId,
    overrides: Overrides = None,
    step: Step = None,
    db: Database = None,
    trust: Trust = None,
) -> None:
    """Go on with RUN from its newest checkpoint, or another.

    A run that was paused goes on in the process that holds it.
    """
    database = open_database(db)
    found = database.runs.get(run)
    if found.status.phase is Phase.PAUSED and not overrides and step is None:
        go_on(found)
    else:
        changes = changes_in(found, overrides)
        train(found.resume(changes, step=step, trust=trust or []))
