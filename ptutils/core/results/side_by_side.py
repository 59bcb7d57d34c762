"""What differs between two runs, as a table with one run beside the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptutils.core.results.table import Column, Table
from ptutils.meta.plain import ABSENT
from ptutils.meta.values import Value

if TYPE_CHECKING:
    from ptutils.core.records.difference import Difference

__all__ = ["difference_table"]

_WIDEST_PATH = 64


def difference_table(difference: Difference) -> Table:
    """Return a row per path that differs; nothing is rounded, texts are in quotes."""
    rows = difference.rows
    paths = [f"{row.section}.{row.path}" for row in rows]
    return Table(
        [
            Column(title="path", cells=paths, widest=_WIDEST_PATH),
            Column(title=difference.ours, cells=[_cell(row.ours) for row in rows]),
            Column(title=difference.theirs, cells=[_cell(row.theirs) for row in rows]),
        ]
    )


def _cell(value: Value) -> str:
    return "" if value is ABSENT else repr(value)
