"""``ptutils verify`` and ``gc``: is everything there, and is it still needed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from ptutils.cli.options import Database, Json, open_database
from ptutils.cli.printing import print_json, say

__all__ = ["gc", "verify"]


def verify(
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended.")
    ] = False,
    json: Json = False,
    db: Database = None,
) -> None:
    """Read everything back; exit with 1 if a fault is left."""
    with open_database(db) as database:
        faults = database.verify(repair=repair)
        url = database.url
    left = [fault for fault in faults if not fault.is_repaired]
    if json:
        print_json([asdict(fault) for fault in faults])
    elif not faults:
        say(f"{url}: no fault")
    for fault in () if json else faults:
        say(_told(fault))
    if left and not json and not repair:
        say("to mend what can be mended: ptutils verify --repair", err=True)
    if left:
        raise typer.Exit(1)


def _told(fault: Any) -> str:
    mended = " (repaired)" if fault.is_repaired else ""
    affects = f"\n  affects: {fault.affects}" if fault.affects else ""
    return f"{fault.where}: {fault.what}{mended}{affects}"


def gc(json: Json = False, db: Database = None) -> None:
    """Remove the bytes that nothing needs any more."""
    with open_database(db) as database:
        freed = database.gc()
    if json:
        print_json(asdict(freed))
    else:
        say(str(freed))
