"""Tables: aligned and cut to the terminal for people, tab-separated for programs."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Column", "print_table"]

_GAP = 2
_WIDEST = 32


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Args:
        title: What stands above it.
        cells: One text per row.
        is_number: Whether it lines up on the right.
        styles: The colour of a cell by its text.
    """

    title: str
    cells: list[str]
    is_number: bool = False
    styles: dict[str, str] | None = None

    @property
    def width(self) -> int:
        """The characters that it takes on a terminal."""
        return min(_WIDEST, max(map(len, (self.title, *self.cells))))


def print_table(columns: list[Column]) -> int:
    """Print a table on stdout; return how many columns the terminal had no room for.

    Where stdout is no terminal, all columns are written, separated by tabs.
    """
    if not sys.stdout.isatty():
        for row in _rows(columns):
            typer.echo("\t".join(row))
        return 0
    console = Console()
    shown = _fit(columns, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for column in shown:
        table.add_column(
            Text(column.title),
            justify="right" if column.is_number else "left",
            no_wrap=True,
            max_width=_WIDEST,
        )
    for row in list(_rows(shown))[1:]:
        styles = [(column.styles or {}) for column in shown]
        cells = zip(row, styles, strict=True)
        table.add_row(*(Text(cell, style.get(cell, "")) for cell, style in cells))
    console.print(table)
    return len(columns) - len(shown)


def _rows(columns: list[Column]) -> list[tuple[str, ...]]:
    titles = tuple(column.title for column in columns)
    return [titles, *zip(*(column.cells for column in columns), strict=True)]


def _fit(columns: list[Column], width: int) -> list[Column]:
    """Return the leading columns that fit next to each other, at least one."""
    room = width + _GAP
    for count, column in enumerate(columns):
        room -= column.width + _GAP
        if room < 0:
            return columns[: max(count, 1)]
    return columns
