"""``ptutils stop``, ``pause``, ``checkpoint``: what another process is asked to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from typing import Any, Final

from ptutils.cli.options import Database, RunId, open_database
from ptutils.cli.printing import say
from ptutils.meta.status import Phase

__all__ = ["checkpoint", "go_on", "pause", "stop"]

_PATIENCE_S = 10.0  # A run looks every two seconds, and obeys between two steps.
_LOOK_S = 0.1
_ENDED: Final = set(Phase) - {Phase.RUNNING, Phase.PAUSED}


def stop(run: RunId, db: Database = None) -> None:
    """Let a running RUN save itself and end."""
    with open_database(db) as database:
        found = database.runs.get(run)
        _ask(found, found.stop, "is about to stop", "has stopped", _ENDED)


def pause(run: RunId, db: Database = None) -> None:
    """Let a running RUN save itself and wait until it is resumed."""
    with open_database(db) as database:
        found = database.runs.get(run)
        _ask(found, found.pause, "is about to pause", "is paused", {Phase.PAUSED})


def checkpoint(run: RunId, db: Database = None) -> None:
    """Let a running RUN save a checkpoint now."""
    with open_database(db) as database:
        found = database.runs.get(run)
        _ask(found, found.ask_for_checkpoint, "", "saves a checkpoint", set(Phase))


def go_on(run: Any) -> None:
    """Let a paused ``run`` go on in the process that holds it."""
    _ask(run, run.go_on, "is about to go on", "goes on", {Phase.RUNNING})


def _ask(
    run: Any,
    request: Callable[[], None],
    doing: str,
    done: str,
    phases: Container[Phase],
) -> None:
    """Ask, wait until the run has seen it and entered a phase, and say how far it is.

    Args:
        run: A living one.
        request: Asks it.
        doing: What it does when it has seen the request.
        done: What it did when it is in one of ``phases``.
        phases: Those that were asked for.
    """
    until = time.monotonic() + _PATIENCE_S
    request()
    if not run.wait(_PATIENCE_S):
        say(
            f"run {run.id} was asked, and has not seen it within {_PATIENCE_S:.0f} s",
            err=True,
        )
        return
    while run.refresh().status.phase not in phases:
        if time.monotonic() > until:
            say(f"run {run.id} {doing}")
            return
        time.sleep(_LOOK_S)
    say(f"run {run.id} {done}")
