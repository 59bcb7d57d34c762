"""The entry point: one typer app, and one place where errors become text.

Exit codes: 0 done, 1 an error (one block on stderr), 2 a wrong command line, 130
Ctrl-C.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ptutils.cli.ls import ls
from ptutils.cli.options import USUAL_DB
from ptutils.cli.resume import resume
from ptutils.cli.run import run
from ptutils.cli.show import show
from ptutils.errors import PtutilsError

__all__ = ["app", "main"]

app = typer.Typer(
    name="ptutils",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def start(
    context: typer.Context,
    db: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help=f"The database. {USUAL_DB}", show_default=False
        ),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Run experiments, ask about them and bring them back."""
    context.obj = db


for command in (run, resume, ls, show):
    app.command(no_args_is_help=command is not ls)(command)


def main() -> None:
    """Run the command line that the process was started with, and exit."""
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        app(["--debug", *arguments] if debug else arguments, prog_name="ptutils")
    except PtutilsError as error:
        if debug:
            raise
        _fail(error)
    except Exception as error:
        if debug:
            raise
        _fail(error, "  fix:      run it again with --debug to see where it happened")


def _fail(error: Exception, fix: str = "") -> None:
    # The notes of a run that failed say where its traceback is.
    notes = getattr(error, "__notes__", []) or ([fix] if fix else [])
    text = "\n".join([f"{type(error).__name__}: {error}", *notes])
    typer.echo(text, err=True)
    sys.exit(1)
