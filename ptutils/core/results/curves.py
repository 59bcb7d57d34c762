"""Metrics of several runs as curves: one colour per run, one line style per metric."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ptutils.core.records.series import history_of, visible_chunks
from ptutils.core.results.columns import labels_of
from ptutils.core.results.extras import load_extra
from ptutils.core.results.summary import statistics_of
from ptutils.errors import ConfigError, MissingNameError, nearest

if TYPE_CHECKING:
    from ptutils.core.records.run import Run
    from ptutils.meta.history import Column, History

__all__ = ["plot_runs"]

_STYLES = ("-", "--", ":", "-.")


def plot_runs(runs: Sequence[Run], metrics: Sequence[str], x: str) -> Any:
    """Draw metrics of runs with pyplot and return the ``matplotlib.axes.Axes``.

    Args:
        runs: Those without a metric are left out of its curves.
        metrics: Their paths, such as ``valid.accuracy``.
        x: ``step``, or ``epoch`` for the mean over each epoch.

    Raises:
        ConfigError: If matplotlib is not installed, or ``x`` is neither.
        MissingNameError: If no run was found, or none has one of the metrics.
    """
    if x not in ("step", "epoch"):
        raise ConfigError(
            "cannot plot runs over this",
            path="x",
            expected="'step' or 'epoch'",
            got=repr(x),
        )
    if not runs:
        raise MissingNameError(
            "there is nothing to plot",
            expected="runs that were found",
            got="none",
            fix="ask for others; db.runs has all",
        )
    _check(runs, metrics)
    axes = load_extra("matplotlib.pyplot", "plot runs").subplots()[1]
    labels = labels_of([run.document for run in runs])
    for number, (run, label) in enumerate(zip(runs, labels, strict=True)):
        history = _history(run, metrics)
        for place, path in enumerate(metrics):
            if path in history:
                axes.plot(
                    *_points(history[path], x),
                    label=_plain(f"{path} {label}" if len(metrics) > 1 else label),
                    color=f"C{number}",
                    linestyle=_STYLES[place % len(_STYLES)],
                )
    axes.set_xlabel(x)
    axes.set_ylabel(_plain(", ".join(metrics)))
    axes.legend()
    return axes


def _check(runs: Sequence[Run], metrics: Sequence[str]) -> None:
    found = [statistics_of(run.document["summary"]) for run in runs]
    known = {name: None for each in found for name in each}
    for path in metrics:
        if path not in known:
            longer = (name for name in known if name.endswith(f".{path}"))
            near = nearest(path, known) or next(longer, "")
            raise MissingNameError(
                "no run that was found has this metric",
                path=path,
                expected=f"one of: {', '.join(known) or 'nothing, there is none'}",
                fix=f"did you mean {near!r}?" if near else "",
            )


def _history(run: Run, metrics: Sequence[str]) -> History:
    """Read these metrics alone: a run may hold millions of points of others."""
    wanted = {"run": run.id, "path": {"$in": list(metrics)}}
    visible = visible_chunks(run.document["segments"])
    return history_of(run.db._find("history", wanted), visible)


def _points(column: Column, x: str) -> tuple[Sequence[float], Sequence[float]]:
    if x == "step":
        return column.steps, column.values
    pairs = zip(column.epochs, column.values, strict=True)
    means = {
        epoch: fmean(value for _, value in group)
        for epoch, group in groupby(pairs, key=lambda pair: pair[0])
    }
    return list(means), list(means.values())


def _plain(text: str) -> str:
    """Return a text that matplotlib writes as it is: no formula, and not hidden."""
    escaped = text.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped
