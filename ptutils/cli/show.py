"""``ptutils show``: all that is known of one run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import typer

from ptutils.cli.cells import format_age, format_value, sparkline
from ptutils.cli.options import Database, RunId, open_database
from ptutils.cli.summary import statistics_of
from ptutils.cli.table import Column, print_table
from ptutils.meta.values import Document
from ptutils.meta.yaml import write_yaml

__all__ = ["show"]

_STATISTICS = ("first", "last", "min", "max")


def show(context: typer.Context, run: RunId, db: Database = None) -> None:
    """Show a run's config, status, metrics, lineage and checkpoints."""
    with open_database(context, db) as database:
        found = database.runs.get(run.lower())
        _show_head(found)
        document = found.document  # Its plain form, as queries see it.
        _show_section("config", document["config"])
        _show_status(document["status"])
        _show_section("lineage", found.lineage)
        _show_metrics(document["summary"], found.history)
        _show_checkpoints(found.checkpoints)


def _show_head(run: Any) -> None:
    age = format_age(run.document["created"], datetime.now(UTC))
    parts = [run.experiment, run.status.phase, f"{age} old", *run.tags]
    typer.echo(f"run {run.id}: {', '.join(str(part) for part in parts if part)}")


def _show_section(title: str, content: Document) -> None:
    if content:
        typer.secho(f"\n{title}", bold=True)
        typer.echo(_indent(write_yaml(content)))


def _show_status(status: Document) -> None:
    exception = dict(status.get("exception") or {})
    trace = exception.pop("traceback", "")
    shown = {**status, "exception": exception}
    _show_section("status", {key: value for key, value in shown.items() if value})
    if trace:
        typer.echo(_indent(trace))


def _show_metrics(summary: Document, history: Any) -> None:
    statistics = statistics_of(summary)
    if not statistics:
        return
    typer.secho("\nmetrics", bold=True)
    columns = [Column(title="metric", cells=list(statistics))]
    for name in _STATISTICS:
        cells = [format_value(each.get(name)) for each in statistics.values()]
        columns.append(Column(title=name, cells=cells, is_number=True))
    curves = [
        sparkline([float(v) for v in history[path].values]) for path in statistics
    ]
    print_table([*columns, Column(title="curve", cells=curves)])


def _show_checkpoints(checkpoints: list[Any]) -> None:
    if not checkpoints:
        return
    typer.secho("\ncheckpoints", bold=True)
    columns = []
    for name in ("step", "epoch", "why"):
        cells = [format_value(getattr(each, name)) for each in checkpoints]
        columns.append(Column(title=name, cells=cells, is_number=name != "why"))
    print_table(columns)


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.rstrip().splitlines())
