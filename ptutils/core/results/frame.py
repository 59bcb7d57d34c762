"""Runs as a pandas DataFrame: one row each, columns named as queries spell them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ptutils.core.results.columns import settings_of
from ptutils.core.results.extras import load_extra
from ptutils.core.results.summary import statistics_of
from ptutils.meta.values import Document, Value

__all__ = ["frame_of"]


def frame_of(rows: Sequence[Document]) -> Any:
    """Return a ``pandas.DataFrame`` of runs, indexed by their ids.

    Args:
        rows: The stored document of each run.

    Raises:
        ConfigError: If pandas is not installed.
    """
    pandas = load_extra("pandas", "make a DataFrame of runs")
    index = pandas.Index([row["_id"] for row in rows], name="run")
    settings = {f"config.{path}": each for path, each in settings_of(rows).items()}
    return pandas.DataFrame({**_fixed(rows), **settings, **_metrics(rows)}, index)


def _fixed(rows: Sequence[Document]) -> dict[str, list[Value]]:
    progress = [row["status"]["progress"] for row in rows]
    return {
        "experiment": [row["experiment"] for row in rows],
        "phase": [row["status"]["phase"] for row in rows],
        "step": [each["step"] for each in progress],
        "epoch": [each["epoch"] for each in progress],
        "created": [row["created"] for row in rows],
        "tags": [list(row["tags"]) for row in rows],
    }


def _metrics(rows: Sequence[Document]) -> dict[str, list[Value]]:
    found = [
        {
            f"summary.{name}.{statistic}": value
            for name, statistics in statistics_of(row["summary"]).items()
            for statistic, value in statistics.items()
        }
        for row in rows
    ]
    names = {name: None for each in found for name in each}
    return {name: [each.get(name) for each in found] for name in names}
