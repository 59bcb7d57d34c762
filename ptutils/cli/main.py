"""The entry point: one typer app, and one place where errors become text.

Exit codes: 0 done, 1 an error (one block on stderr), 2 a wrong command line or a proof
that could not be tried, 130 Ctrl-C.
"""

from __future__ import annotations

import importlib
import keyword
import sys
from typing import Annotated, Final

import typer

from ptutils.cli.options import USUAL_DB, hide_passwords
from ptutils.core.results.cells import printable
from ptutils.errors import PtutilsError

__all__ = ["COMMANDS", "main"]

COMMANDS: Final = {
    "run": "run",
    "resume": "resume",
    "branch": "branch",
    "restart": "restart",
    "evaluate": "evaluate",
    "ls": "ls",
    "show": "show",
    "diff": "diff",
    "lineage": "lineage",
    "stop": "asking",
    "pause": "asking",
    "checkpoint": "asking",
    "tag": "labels",
    "note": "labels",
    "pin": "labels",
    "archive": "labels",
    "export": "copying",
    "import": "copying",
    "delete": "delete",
    "verify": "upkeep",
    "verify-resume": "verify_resume",
    "gc": "upkeep",
}
"""Which file of this folder holds each command, in the order of the help."""

_WITHOUT_ARGUMENTS: Final = ("ls", "verify", "gc")


def main() -> None:
    """Run the command line that the process was started with, and exit."""
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    app = _app(arguments)
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


def _app(arguments: list[str]) -> typer.Typer:
    """Return the app with the commands that occur in the arguments, or with all.

    What is not asked for is not imported: the shell answers before a person notices.
    """
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_start)
    asked = [name for name in COMMANDS if name in arguments]
    is_help = not asked or "--help" in arguments[:1]
    for name in COMMANDS if is_help else asked:
        module = importlib.import_module(f"ptutils.cli.{COMMANDS[name]}")
        command = getattr(module, _function_of(name))
        has_arguments = name not in _WITHOUT_ARGUMENTS
        app.command(name, no_args_is_help=has_arguments)(command)
    return app


def _function_of(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")


def _start(
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


def _fail(error: Exception, fix: str = "") -> None:
    # The notes of a run that failed say where its traceback is.
    notes = getattr(error, "__notes__", []) or ([fix] if fix else [])
    text = "\n".join([f"{type(error).__name__}: {error}", *notes])
    typer.echo(hide_passwords(printable(text)), err=True)
    sys.exit(1)
