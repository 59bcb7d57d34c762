"""``ptutils ls``: the runs that match, side by side where they differ."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from ptutils.cli.cells import format_age, format_value
from ptutils.cli.differences import differences
from ptutils.cli.options import Database, open_database
from ptutils.cli.summary import statistics_of
from ptutils.cli.table import Column, print_table
from ptutils.cli.unknown import paths_in, unknown_paths
from ptutils.core.records.query import parse_query
from ptutils.meta.values import Document, Value

__all__ = ["columns_of", "ls"]

_TOLD = ("experiment", "dbinterface")  # A column of its own, and asked for.
_PHASE_STYLES = {
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "lost": "red",
    "interrupted": "yellow",
}


def ls(
    context: typer.Context,
    query: Annotated[
        str,
        typer.Argument(
            metavar="[QUERY]",
            help="Such as: config.seed = 1 and summary.valid.accuracy.max > 0.9",
            show_default=False,
        ),
    ] = "",
    sort: Annotated[
        str, typer.Option(metavar="[-]PATH", help="What to sort by; - reverses.")
    ] = "-created",
    limit: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="The most runs to list; 0 lists all."),
    ] = 30,
    db: Database = None,
) -> None:
    """List runs, the newest first."""
    wanted = parse_query(query)
    path = sort.removeprefix("-")
    order = [(path, -1 if sort.startswith("-") else 1)]
    with open_database(context, db) as database:
        most = limit and limit + 1  # One more tells whether there are more.
        runs = list(database.runs.find(wanted, sort=order, limit=most))
        for line in unknown_paths(database.runs, [*paths_in(wanted), path]):
            typer.echo(line, err=True)
    if not runs:
        typer.echo("no runs" if not query else "no run matches", err=True)
        return
    rows = [run.document for run in (runs[:limit] if limit else runs)]
    hidden = print_table(columns_of(rows, datetime.now(UTC), first=path))
    if len(runs) > len(rows):
        typer.echo("there are more; --limit 0 lists all", err=True)
    if hidden:
        typer.echo(f"{hidden} more columns in a wider terminal or a pipe", err=True)


def columns_of(rows: list[Document], now: datetime, *, first: str = "") -> list[Column]:
    """Choose the columns that tell ``rows`` apart, the most telling first.

    Args:
        rows: The stored document of each run.
        now: The moment that ages count from.
        first: The path that the rows are sorted by; a summary's is shown first.
    """
    metrics = _metrics(rows, first)
    settings = _settings([row["config"] for row in rows])
    # A terminal may have no room for all: what training alone measured goes last.
    minor = [column for column in metrics if column.title.startswith("train.")]
    minor = [column for column in minor if f"summary.{column.title}" != first]
    major = [column for column in metrics if column not in minor]
    return [*_fixed(rows, now), *major, *settings, *minor]


def _fixed(rows: list[Document], now: datetime) -> list[Column]:
    status = [row["status"] for row in rows]
    progress = [each.get("progress") or {} for each in status]
    phases = [str(each.get("phase", "")) for each in status]
    columns = [
        Column(title="run", cells=[row["_id"] for row in rows]),
        Column(title="experiment", cells=[_text(row["experiment"]) for row in rows]),
        Column(title="phase", cells=phases, styles=_PHASE_STYLES),
    ]
    origins = [str(each.get("origin", "")) for each in status]
    if len(set(origins)) > 1:
        columns.append(Column(title="origin", cells=origins))
    for name in ("step", "epoch"):
        cells = [format_value(each.get(name)) for each in progress]
        columns.append(Column(title=name, cells=cells, is_number=True))
    ages = [format_age(row["created"], now) for row in rows]
    return [*columns, Column(title="age", cells=ages, is_number=True)]


def _metrics(rows: list[Document], first: str) -> list[Column]:
    """Return one column per metric: the end that it moves towards."""
    found = [statistics_of(row["summary"]) for row in rows]
    names = {name: None for metrics in found for name in metrics}
    paths = [f"{name}.{_direction(found, name)}" for name in sorted(names)]
    wanted = first.removeprefix("summary.")
    if wanted.rpartition(".")[0] in names and first.startswith("summary."):
        paths = [wanted, *(path for path in paths if path != wanted)]
    return [_metric(found, path) for path in paths]


def _metric(found: list[Document], path: str) -> Column:
    name, _, statistic = path.rpartition(".")
    values = [metrics.get(name, {}).get(statistic) for metrics in found]
    return Column(title=path, cells=[format_value(v) for v in values], is_number=True)


def _direction(found: list[Document], name: str) -> str:
    """Return whether the metric mostly fell from its first value, or rose."""
    known = [metrics[name] for metrics in found if name in metrics]
    fell = sum(each["last"] < each["first"] for each in known)
    rose = sum(each["last"] > each["first"] for each in known)
    return "min" if fell > rose else "max"


def _settings(configs: list[Document]) -> list[Column]:
    """Return one column per setting that is not the same in all rows."""
    found = differences(
        [{k: v for k, v in each.items() if k not in _TOLD} for each in configs]
    )
    return [
        Column(
            title=_shortest(path, list(found)),
            cells=[_text(value) for value in values],
            is_number=all(isinstance(value, int | float | None) for value in values),
        )
        for path, values in found.items()
    ]


def _shortest(path: str, others: list[str]) -> str:
    """Return the end of ``path`` that no other path ends with."""
    parts = path.split(".")
    for count in range(1, len(parts)):
        tail = ".".join(parts[-count:])
        if sum(f".{other}".endswith(f".{tail}") for other in others) == 1:
            return tail
    return path


def _text(value: Value) -> str:
    # One row is one line, whatever a text holds.
    return " ".join(format_value(value).split())
