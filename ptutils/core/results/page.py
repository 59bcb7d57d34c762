"""A run as a notebook shows it; what a run holds is escaped."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from ptutils.core.results.cells import format_value, one_line
from ptutils.core.results.summary import STATISTICS, statistics_of
from ptutils.core.results.table import Column, Table
from ptutils.meta.values import Document
from ptutils.meta.yaml import write_yaml

if TYPE_CHECKING:
    from ptutils.core.records.run import Run

__all__ = ["metrics_table", "run_html"]


def metrics_table(summary: Document) -> Table:
    """Return the first, last, least and greatest value of every metric."""
    found = statistics_of(summary)
    columns = [Column(title="metric", cells=list(found))]
    for name in STATISTICS:
        cells = [format_value(each.get(name)) for each in found.values()]
        columns.append(Column(title=name, cells=cells, is_number=True))
    return Table(columns)


def run_html(run: Run) -> str:
    """Return a heading, the metrics, and the config folded away."""
    document = run.document
    words = [run.experiment, document["status"]["phase"], *run.tags]
    head = ", ".join(html.escape(one_line(str(word))) for word in words if word)
    config = html.escape(write_yaml(document["config"]))
    return (
        f"<p><strong>run {html.escape(run.id)}</strong>: {head}</p>"
        f"{metrics_table(document['summary'])._repr_html_()}"
        f"<details><summary>config</summary><pre>{config}</pre></details>"
    )
