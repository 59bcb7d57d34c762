"""``RUN@STEP``: how a command line names a checkpoint, whose State is looked at."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ptutils.errors import NotFoundError, QueryError

__all__ = ["AtStep", "ShowState", "checkpoint_of", "names_step"]

AtStep = typer.Argument(
    metavar="RUN[@STEP]",
    parser=str.lower,
    help="A run's id, or as many of its first or last letters as are unique; and the "
    "step of a checkpoint, of which there is no need for the newest.",
    show_default=False,
)
ShowState = Annotated[
    bool, typer.Option("--state", help="Look at the States of checkpoints.")
]


def names_step(text: str) -> bool:
    """Return whether a text names a checkpoint by its step."""
    return "@" in text


def checkpoint_of(database: Any, text: str) -> Any:
    """Return the checkpoint that ``RUN@STEP`` names, or the newest of ``RUN``.

    Raises:
        QueryError: If the step is none.
        NotFoundError: If there is no such run or checkpoint.
    """
    name, at, step = text.partition("@")
    run = database.runs.get(name)
    if at:
        if not step.isdecimal():
            raise QueryError(
                f"cannot find the checkpoint {text!r}",
                expected="RUN@STEP with the step as a number, such as 7kq2@300",
                got=f"step {step!r}",
                fix=f"list the steps with: ptutils show {name}",
            )
        return run.checkpoint(int(step))
    newest = run.newest()
    if newest is None:
        raise NotFoundError(
            f"run {run.id!r} has no checkpoint",
            expected="a run that was saved at least once",
            got="no checkpoint at all",
        )
    return newest
