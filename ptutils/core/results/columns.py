"""The columns that tell runs apart: what each is, how it does, and what was set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from ptutils.core.results.cells import format_age, format_value
from ptutils.core.results.differences import differences
from ptutils.core.results.summary import statistics_of
from ptutils.core.results.table import Column
from ptutils.meta.values import Document, Value

__all__ = ["columns_of", "labels_of", "settings_of"]

_TOLD = ("experiment", "dbinterface")  # A column of its own, and asked for.
_PHASE_STYLES = {
    "running": "cyan",
    "paused": "cyan",
    "completed": "green",
    "failed": "red",
    "lost": "red",
    "interrupted": "yellow",
}


def columns_of(
    rows: Sequence[Document], now: datetime, *, first: str = ""
) -> list[Column]:
    """Choose the columns that tell ``rows`` apart, the most telling first.

    Args:
        rows: The stored document of each run.
        now: The moment that ages count from.
        first: The path that the rows are sorted by; a summary's is shown first.
    """
    metrics = _metrics(rows, first)
    # A terminal may have no room for all: what training alone measured goes last.
    minor = [column for column in metrics if column.title.startswith("train.")]
    minor = [column for column in minor if f"summary.{column.title}" != first]
    major = [column for column in metrics if column not in minor]
    return [*_fixed(rows, now), *major, *_settings(rows), *minor, *_labels(rows)]


def settings_of(rows: Sequence[Document]) -> dict[str, list[Value]]:
    """Return the settings that are not the same in all runs, by their path."""
    return differences(
        [{k: v for k, v in row["config"].items() if k not in _TOLD} for row in rows]
    )


def labels_of(rows: Sequence[Document]) -> list[str]:
    """Return a short text per run: the settings that are its own, or its id.

    Example:
        >>> row = {"_id": "3f9k2", "config": {"seed": 1, "lr": 0.1}}
        >>> labels_of([row, {"_id": "3f9k3", "config": {"seed": 1, "lr": 0.2}}])
        ['lr=0.1', 'lr=0.2']
        >>> labels_of([row])
        ['3f9k2']
    """
    columns = _settings(rows)
    labels = [
        ", ".join(f"{column.title}={column.cells[index]}" for column in columns)
        for index in range(len(rows))
    ]
    counts = Counter(labels)
    return [
        label if label and counts[label] == 1 else f"{row['_id']} {label}".rstrip()
        for row, label in zip(rows, labels, strict=True)
    ]


def _fixed(rows: Sequence[Document], now: datetime) -> list[Column]:
    status = [row["status"] for row in rows]
    progress = [each.get("progress") or {} for each in status]
    phases = [str(each.get("phase", "")) for each in status]
    names = [format_value(row["experiment"]) for row in rows]
    columns = [
        Column(title="run", cells=[row["_id"] for row in rows]),
        Column(title="experiment", cells=names),
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


def _labels(rows: Sequence[Document]) -> list[Column]:
    """Return what people put on runs, where they did."""
    tags = [" ".join(map(str, row.get("tags", ()))) for row in rows]
    archived = ["archived" if row.get("archived") else "" for row in rows]
    columns = [
        Column(title="tags", cells=tags),
        Column(title="archived", cells=archived),
    ]
    return [column for column in columns if any(column.cells)]


def _metrics(rows: Sequence[Document], first: str) -> list[Column]:
    """Return one column per metric: the end that it moves towards."""
    found = [statistics_of(row["summary"]) for row in rows]
    names = {name: None for metrics in found for name in metrics}
    paths = [f"{name}.{_direction(found, name)}" for name in sorted(names)]
    wanted = first.removeprefix("summary.")
    if wanted.rpartition(".")[0] in names and first.startswith("summary."):
        paths = [wanted, *(path for path in paths if path != wanted)]
    return [_metric(found, path) for path in paths]


def _metric(found: list[dict[str, Document]], path: str) -> Column:
    name, _, statistic = path.rpartition(".")
    values = [metrics.get(name, {}).get(statistic) for metrics in found]
    return Column(title=path, cells=[format_value(v) for v in values], is_number=True)


def _direction(found: list[dict[str, Document]], name: str) -> str:
    """Return whether the metric mostly fell from its first value, or rose."""
    known = [metrics[name] for metrics in found if name in metrics]
    fell = sum(each["last"] < each["first"] for each in known)
    rose = sum(each["last"] > each["first"] for each in known)
    return "min" if fell > rose else "max"


def _settings(rows: Sequence[Document]) -> list[Column]:
    """Return one column per setting that is not the same in all rows."""
    found = settings_of(rows)
    return [
        Column(
            title=_shortest(path, list(found)),
            cells=[format_value(value) for value in values],
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
