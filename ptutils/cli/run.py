"""``ptutils run``: train what a config file describes."""

from __future__ import annotations

from typing import Annotated

import typer

import ptutils
from ptutils.cli.options import (
    DEFAULT_DB,
    ConfiguredDatabase,
    Overrides,
    Trust,
    usual_db,
)
from ptutils.cli.training import train

__all__ = ["run"]


def run(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG", help="A YAML or JSON file.", show_default=False
        ),
    ],
    overrides: Overrides = None,
    db: ConfiguredDatabase = None,
    trust: Trust = None,
) -> None:
    """Train what CONFIG describes, and keep it in the database."""
    described = ptutils.Config.read(config).override(*(overrides or []))
    if db:
        described["dbinterface"] = db
    elif usual_db() != DEFAULT_DB:  # A Session's own default stays out of its config.
        described.setdefault("dbinterface", usual_db())
    session = ptutils.Session.from_meta(config=described, trust=trust or [])
    train(session)
