"""What ``run`` and ``resume`` share: train a session and say what can be done next."""

from __future__ import annotations

import math
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import typer

from ptutils.cli.options import hide_passwords, usual_db
from ptutils.core.loop.duration import Duration
from ptutils.core.results.cells import format_value
from ptutils.core.results.summary import statistics_of
from ptutils.meta.status import Origin, Phase
from ptutils.meta.values import Value

__all__ = ["changes_in", "train"]


def train(session: Any) -> None:
    """Run ``session`` to its end, and print how it went and the commands to go on.

    Args:
        session: A Session that was built or resumed.
    """
    try:
        run = session.run()
    except (KeyboardInterrupt, SystemExit):
        if _has_ended(session, Phase.INTERRUPTED):
            _say_how_to_import(session)
            command = _command(session, "resume", session.id)
            typer.echo(f"\nrun {session.id} is saved; go on with: {command}", err=True)
        raise
    except Exception as error:
        if _has_ended(session, Phase.FAILED):
            error.add_note(f"its traceback: {_command(session, 'show', session.id)}")
        raise
    if run is not None and session.id is None:  # There was nothing to do.
        steps = Duration(count=session.trainer.step, unit="steps")
        command = _command(session, "resume", run.id, _longer(session))
        typer.echo(
            f"run {run.id} is already complete after {steps}; "
            f"give it more to do: {command}"
        )
        return
    typer.echo(" ".join(["run", *([run.id] if run else []), _result(session)]))
    if _is_kept(session):
        _say_what_next(session, run.id)


def changes_in(run: Any, overrides: list[str] | None) -> dict[str, Value]:
    """Return the settings of ``run`` that the command line changes, by their paths."""
    texts = overrides or []
    changed = run.config.override(*texts)
    return {path: changed[path] for path in (t.partition("=")[0] for t in texts)}


def _say_what_next(session: Any, run_id: str) -> None:
    status = session.status
    again = ["resume", run_id]
    if status.origin is Origin.EVALUATED:
        again = ["lineage", run_id]
    elif status.phase is Phase.COMPLETED:
        again.append(_longer(session))
    _say_how_to_import(session)
    url = _elsewhere(session)
    there = f"It is in {url}. " if url else ""
    typer.echo(f"\n{there}To find it, look at it, or go on with it:")
    listed = ["ls", f'experiment = "{session.experiment}"']
    for words in (listed, ["show", run_id], again):
        typer.echo(f"  {_command(session, *words)}")


def _is_kept(session: Any) -> bool:
    """Return whether another process can find the run."""
    return session.database is not None and session.database.url != "memory:"


def _say_how_to_import(session: Any) -> None:
    """Print the command that brings a run home from a spill, if it lies in one."""
    if session.database in session.databases:
        return
    urls = [session.database.url, "--db", session.databases[0].url]
    command = shlex.join([_program(), "import", *urls])
    typer.echo(f"\nits database was out of reach; when it is back: {command}", err=True)


def _has_ended(session: Any, phase: Phase) -> bool:
    """Return whether the database knows that the run ended so."""
    return bool(session.id and session.status.phase is phase and _is_kept(session))


def _command(session: Any, *words: str) -> str:
    """Return a command line that works here, on the database of ``session``.

    Where the run lies in a spill, it is for when it was brought home.
    """
    url = _elsewhere(session)
    return shlex.join([_program(), *words, *(["--db", url] if url else [])])


def _elsewhere(session: Any) -> str:
    """Return the URL of the run's database if it is not the usual one, or ""."""
    known = session.database in session.databases
    url: str = (session.database if known else session.databases[0]).url
    return "" if url in (usual_db(), hide_passwords(usual_db())) else url


def _program() -> str:
    called, found = Path(sys.argv[0]), shutil.which("ptutils")
    is_elsewhere = found is None or Path(found).resolve() != called.resolve()
    return str(called) if called.name == "ptutils" and is_elsewhere else "ptutils"


def _result(session: Any) -> str:
    status, statistics = session.status, statistics_of(session.history.summary())
    is_evaluation = status.origin is Origin.EVALUATED
    measured = [
        f"{name} {format_value(values['last'])}"
        for name, values in statistics.items()
        if is_evaluation or not name.startswith("train.")
    ]
    reason = f" ({status.reason})" if status.reason else ""
    steps = Duration(count=session.trainer.step, unit="steps")
    epochs = Duration(count=session.trainer.epoch, unit="epochs")
    return ", ".join([f"{status.phase}{reason} after {steps}, {epochs}", *measured])


def _longer(session: Any) -> str:
    """Return the setting that lets a completed run train for twice as long."""
    duration, trainer = session.schedule.duration, session.trainer
    if duration.seconds is not None:
        reached = math.ceil(trainer.elapsed_s * duration.count / duration.seconds)
    else:
        reached = trainer.step if duration.unit == "steps" else trainer.epoch
    count = 2 * max(duration.count, reached)
    return f"schedule.duration={Duration(count=count, unit=duration.unit)}"
