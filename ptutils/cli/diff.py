"""``ptutils diff``: where two runs differ, or the States of two checkpoints."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import ptutils
from ptutils.cli.options import Database, Json, open_database
from ptutils.cli.printing import print_json, print_table, say
from ptutils.cli.states import AtStep, ShowState, checkpoint_of, names_step
from ptutils.meta.codec import encode
from ptutils.meta.plain import ABSENT
from ptutils.meta.values import Document, Value

__all__ = ["diff"]

_SIDES = ("ours", "theirs")


def diff(
    run: Annotated[str, AtStep],
    other: Annotated[
        str,
        typer.Argument(
            metavar="OTHER[@STEP]",
            parser=str.lower,
            help="Another, in the same way.",
            show_default=False,
        ),
    ],
    state: ShowState = False,
    of: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The database of the second run.", show_default=False
        ),
    ] = None,
    json: Json = False,
    db: Database = None,
) -> None:
    """Show where two runs differ in config, source and summary.

    With steps, or with --state, show which leaves of two checkpoints differ, and by how
    much.
    """
    with open_database(db) as database:
        elsewhere = ptutils.connect(of, create=False) if of else database
        if state or names_step(run) or names_step(other):
            pair = checkpoint_of(database, run), checkpoint_of(elsewhere, other)
            _show_states(ptutils.diff(*pair), json)
        else:
            found = database.runs.get(run).diff(elsewhere.runs.get(other))
            _show_runs(found, json)


def _show_states(found: Any, json: bool) -> None:
    if json:
        print_json(found.to_dict())
        return
    if found.changed:
        print_table(found.table())
    say(found.summary(), err=True)


def _show_runs(found: Any, json: bool) -> None:
    if json:
        print_json({section: _plain(found[section]) for section in found})
    elif found:
        print_table(found.table())
    else:
        say("no difference in config, source and summary", err=True)


def _plain(pairs: dict[str, tuple[Value, Value]]) -> Document:
    """Return each pair as plain values; a side that has nothing is left out."""
    return {
        path: {
            side: encode(value).document
            for side, value in zip(_SIDES, pair, strict=True)
            if value is not ABSENT
        }
        for path, pair in pairs.items()
    }
