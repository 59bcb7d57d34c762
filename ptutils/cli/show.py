"""``ptutils show``: all that is known of one run, or what a State holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ptutils.cli.options import Database, Json, open_database
from ptutils.cli.plain import plain_checkpoint, plain_lineage, plain_run
from ptutils.cli.printing import print_json, print_table, say
from ptutils.cli.states import AtStep, ShowState, checkpoint_of, names_step
from ptutils.core.results.cells import (
    format_age,
    format_value,
    one_line,
    sparkline,
)
from ptutils.core.results.page import metrics_table
from ptutils.core.results.table import Column, Table
from ptutils.meta.values import Document
from ptutils.meta.yaml import write_yaml

__all__ = ["show"]


def show(
    run: Annotated[str, AtStep],
    state: ShowState = False,
    json: Json = False,
    db: Database = None,
) -> None:
    """Show all that is known of RUN.

    With a step, or with --state, show what the State of a checkpoint holds, and how
    large its parts are.
    """
    with open_database(db) as database:
        if state or names_step(run):
            summary = checkpoint_of(database, run).state.summary()
            if json:
                print_json(summary.to_dict())
            else:
                say(str(summary))
            return
        found = database.runs.get(run)
        if json:
            checkpoints = [plain_checkpoint(each) for each in found.checkpoints]
            source = found.source  # A long diff is not among the plain fields.
            whole = {"source": source, "checkpoints": checkpoints}
            print_json({**plain_run(found), **whole})
        else:
            _show(found)


def _show(run: Any) -> None:
    document = run.document  # Its plain form, as queries see it.
    _show_head(run)
    _show_section("config", document["config"])
    _show_status(document["status"])
    _show_faults(document.get("faults", []))
    _show_section("lineage", plain_lineage(run))
    _show_metrics(document["summary"], run.history)
    _show_checkpoints(run.checkpoints)


def _show_head(run: Any) -> None:
    document = run.document
    age = format_age(document["created"], datetime.now(UTC))
    words = [run.experiment, run.status.phase, f"{age} old", *run.tags]
    words += ["archived"] if document.get("archived") else []
    listed = ", ".join(one_line(str(word)) for word in words if word)
    say(f"run {run.id}: {listed}")
    if document["notes"]:
        say(f"\n{_indent(document['notes'])}")


def _show_section(title: str, content: Document) -> None:
    if content:
        typer.secho(f"\n{title}", bold=True)
        say(_indent(write_yaml(content)))


def _show_status(status: Document) -> None:
    exception = dict(status.get("exception") or {})
    trace = exception.pop("traceback", "")
    shown = {**status, "exception": exception}
    _show_section("status", {key: value for key, value in shown.items() if value})
    if trace:
        say(_indent(trace))


def _show_faults(faults: list[Document]) -> None:
    """Tell what went wrong with recording."""
    if faults:
        typer.secho("\nfaults", bold=True)
        say(_indent(write_yaml(faults)))


def _show_metrics(summary: Document, history: Any) -> None:
    table = metrics_table(summary)
    if not summary:
        return
    typer.secho("\nmetrics", bold=True)
    paths = table.columns[0].cells
    points = [history[path].values if path in history else [] for path in paths]
    curves = [sparkline([float(value) for value in each]) for each in points]
    print_table(Table([*table.columns, Column(title="curve", cells=curves)]))


def _show_checkpoints(checkpoints: list[Any]) -> None:
    if not checkpoints:
        return
    typer.secho("\ncheckpoints", bold=True)
    columns = []
    for name in ("step", "epoch", "why"):
        cells = [format_value(getattr(each, name)) for each in checkpoints]
        columns.append(Column(title=name, cells=cells, is_number=name != "why"))
    pinned = ["pinned" if each.is_pinned else "" for each in checkpoints]
    if any(pinned):
        columns.append(Column(title="kept", cells=pinned))
    print_table(Table(columns))


def _indent(text: str) -> str:
    lines = text.rstrip().splitlines()
    return "\n".join(f"  {line}" for line in lines)
