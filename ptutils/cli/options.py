"""Options that several commands share, and the database they lead to."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any

import typer

import ptutils

__all__ = [
    "DEFAULT_DB",
    "USUAL_DB",
    "ConfiguredDatabase",
    "Database",
    "Json",
    "Overrides",
    "RunId",
    "RunIds",
    "Step",
    "To",
    "Trust",
    "hide_passwords",
    "open_database",
    "usual_db",
]

DEFAULT_DB = "runs.db"
_PASSWORD = re.compile(r"(:/+[^\s/:@]*):\S*@")


def _or_before(context: typer.Context, db: str | None) -> str | None:
    """Return the database that was named before the command if none is after it."""
    return db or context.obj


def _database(usual: str) -> Any:
    return typer.Option(
        "--db",
        metavar="URL",
        callback=_or_before,
        help=f"The database. [default: {usual}]",
        show_default=False,
    )


_USUAL = f"what PTUTILS_DB names, or {DEFAULT_DB}"
USUAL_DB = f"[default: {_USUAL}]"
Database = Annotated[str | None, _database(_USUAL)]
ConfiguredDatabase = Annotated[str | None, _database(f"that of CONFIG, else {_USUAL}")]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON value: dates as text, NaN as 'NaN'."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Changes to single settings, such as trainer.model.optimizer.lr=1e-3.",
        show_default=False,
    ),
]
RunId = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        parser=str.lower,
        help="A run's id, or as many of its first or last letters as are unique.",
        show_default=False,
    ),
]
RunIds = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN",
        parser=str.lower,
        help="Ids, or as many of their first or last letters as are unique.",
        show_default=False,
    ),
]
Step = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="The checkpoint of step N instead of the newest.",
        show_default=False,
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The database for the new run, if not the same.",
        show_default=False,
    ),
]
Trust = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PACKAGE",
        help="A package of yours whose classes the config may name.",
        show_default=False,
    ),
]


def open_database(db: str | None, *, create: bool = False) -> Any:
    """Open the database that the command line, PTUTILS_DB or the default names."""
    return ptutils.connect(db or usual_db(), create=create)


def hide_passwords(text: str) -> str:
    """Return a text with the passwords of its URLs masked.

    Example:
        >>> hide_passwords("cannot open 'mongdb://me:secret@host/db'")
        "cannot open 'mongdb://me:***@host/db'"
    """
    return _PASSWORD.sub(r"\1:***@", text)


def usual_db() -> str:
    """Return the URL of the database where nothing else names one."""
    return os.environ.get("PTUTILS_DB") or DEFAULT_DB
