"""``ptutils restart``: a new run from the config of another."""

from __future__ import annotations

from ptutils.cli.options import Database, Overrides, RunId, To, Trust, open_database
from ptutils.cli.training import changes_in, train

__all__ = ["restart"]


def restart(
    run: RunId,
    overrides: Overrides = None,
    to: To = None,
    db: Database = None,
    trust: Trust = None,
) -> None:
    """Start a new run with the config of RUN, from the beginning."""
    found = open_database(db).runs.get(run)
    session = found.restart(
        changes_in(found, overrides),
        db=to,
        trust=trust or [],
    )
    train(session)
