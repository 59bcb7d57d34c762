"""``ptutils lineage``: what a run descends from, and what descends from it."""

from __future__ import annotations

from ptutils.cli.options import Database, Json, RunId, open_database
from ptutils.cli.printing import print_json, say

__all__ = ["lineage"]


def lineage(run: RunId, json: Json = False, db: Database = None) -> None:
    """Show the tree of RUN's ancestors and descendants."""
    with open_database(db) as database:
        top = database.runs.get(run).lineage()
    if json:
        print_json(top.to_dict())
    else:
        say(str(top))
