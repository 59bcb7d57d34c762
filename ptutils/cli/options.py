"""Options that several commands share, and the database they lead to."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

import ptutils

__all__ = [
    "DEFAULT_DB",
    "USUAL_DB",
    "Database",
    "Overrides",
    "RunId",
    "Trust",
    "open_database",
    "usual_db",
]

DEFAULT_DB = "runs.db"
USUAL_DB = f"[default: what PTUTILS_DB names, or {DEFAULT_DB}]"

Database = Annotated[
    str | None,
    typer.Option(
        "--db", metavar="URL", help=f"The database. {USUAL_DB}", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Changes to single settings, such as trainer.model.optimizer.lr=1e-3.",
        show_default=False,
    ),
]
RunId = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, or as many of its first or last letters as are unique.",
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


def open_database(context: typer.Context, db: str | None) -> Any:
    """Open the database that the command line, PTUTILS_DB or the default names."""
    return ptutils.connect(db or context.obj or usual_db(), create=False)


def usual_db() -> str:
    """Return the URL of the database where nothing else names one."""
    return os.environ.get("PTUTILS_DB") or DEFAULT_DB
