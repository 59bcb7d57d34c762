"""``ptutils verify-resume``: prove that an experiment resumes exactly."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated, Final

import typer

import ptutils
from ptutils.cli.options import Json, Overrides, Trust, hide_passwords
from ptutils.cli.printing import print_json, say
from ptutils.core.signals import handling
from ptutils.errors import PtutilsError

__all__ = ["verify_resume"]

_DIFFERS: Final = 1
_UNTRIED: Final = 2


def verify_resume(
    config: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG", help="A YAML or JSON file.", show_default=False
        ),
    ],
    overrides: Overrides = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help="Train for N steps, not as long as CONFIG says.",
            show_default=False,
        ),
    ] = None,
    kills: Annotated[
        int, typer.Option(min=1, metavar="N", help="Kill the second run so often.")
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Chooses the steps in which it is killed; any by default.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    trust: Trust = None,
) -> None:
    """Prove that CONFIG resumes exactly, or find where not.

    It is run twice, in a temporary folder. The second run is killed in the middle and
    resumed in a new process; both must end in the same bits. Exits with 0 if they do,
    1 if not, 2 if that could not be tried.
    """
    try:
        described = ptutils.Config.read(config).override(*(overrides or []))
        # On its way up the exception ends what was started.
        with handling((signal.SIGTERM, signal.SIGHUP), _exit):
            proof = ptutils.verify_resume(
                described,
                steps=steps,
                kills=kills,
                seed=seed,
                trust=trust or [],
                report=lambda line: say(line, err=True),
            )
    except PtutilsError as error:
        say(hide_passwords(f"{type(error).__name__}: {error}"), err=True)
        raise typer.Exit(_UNTRIED) from error
    if json:
        print_json(proof.to_dict())
    else:
        say(str(proof))
    raise typer.Exit(0 if proof else _DIFFERS)


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)  # As shells tell of it.
