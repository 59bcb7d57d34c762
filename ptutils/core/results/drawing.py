"""How a Table is drawn with rich: as many columns as there is room for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

if TYPE_CHECKING:
    from ptutils.core.results.table import Table

__all__ = ["draw", "parts"]

_GAP = 2


def draw(table: Table, *, is_wide: bool) -> str:
    """Return a table as aligned lines, without colours.

    Args:
        table: What to draw.
        is_wide: Show everything, however wide the terminal is.
    """
    file = io.StringIO()
    width = sum(_widths(table)) + _GAP * len(table.columns) if is_wide else None
    console = Console(file=file, width=width, color_system=None)
    for part in parts(table, None if is_wide else console.width):
        console.print(part)
    lines = file.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def parts(table: Table, width: int | None) -> Iterator[RenderableType]:
    """Yield what rich shows: the columns that fit, and a line about the others.

    Args:
        table: What to draw.
        width: Of the terminal, in characters; ``None`` is without bound.
    """
    count = len(table.columns) if width is None else _count(table, width)
    drawn = RichTable(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    titles, *rows = table.rows
    for title, column in zip(titles[:count], table.columns, strict=False):
        drawn.add_column(
            Text(title),
            justify="right" if column.is_number else "left",
            no_wrap=True,
            max_width=None if width is None else column.widest,
        )
    styles = [column.styles or {} for column in table.columns[:count]]
    for row in rows:
        cells = zip(row, styles, strict=False)
        drawn.add_row(*(Text(cell, style.get(cell, "")) for cell, style in cells))
    yield drawn
    if hidden := titles[count:]:
        yield Text(f"not shown for want of room: {', '.join(hidden)}", "dim")


def _count(table: Table, width: int) -> int:
    """Return how many leading columns fit, at least those to keep."""
    room = width + _GAP
    widths = zip(table.columns, _widths(table), strict=True)
    for count, (column, each) in enumerate(widths):
        room -= min(column.widest, each) + _GAP
        if room < 0:
            return max(count, table.keep)
    return len(table.columns)


def _widths(table: Table) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*table.rows, strict=True)]
