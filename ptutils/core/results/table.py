"""Table: columns of short texts, drawn for people, given whole to programs.

Importing this file loads nothing; rich is imported when a table is drawn.
"""

from __future__ import annotations

import html
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ptutils.core.results.cells import one_line

__all__ = ["Column", "Table"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Args:
        title: What stands above it.
        cells: One text per row.
        is_number: Whether it lines up on the right.
        styles: The colour of a cell by its text.
        widest: So many characters of it are shown on a terminal.
    """

    title: str
    cells: list[str]
    is_number: bool = False
    styles: dict[str, str] | None = None
    widest: int = 32


class Table:
    """Columns side by side: ``print`` draws them, and so do rich and notebooks.

    A terminal shows as many of the leading columns as fit; a file gets all of them.

    Args:
        columns: From left to right.
        keep: So many of the leading columns are shown however narrow a terminal is,
            shortened if need be.

    Example:
        >>> name = Column(title="name", cells=["adam", "sgd"])
        >>> print(Table([name, Column(title="lr", cells=["0.001", "10"])]))
        name  lr
        adam  0.001
        sgd   10
    """

    def __init__(self, columns: Sequence[Column], *, keep: int = 1) -> None:
        self.columns = list(columns)
        self.keep = keep

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The titles, then each row, as single lines without control characters."""
        columns = [(column.title, *column.cells) for column in self.columns]
        return list(zip(*(map(one_line, each) for each in columns), strict=True))

    def __str__(self) -> str:
        return str(self._drawing().draw(self, is_wide=not sys.stdout.isatty()))

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield from self._drawing().parts(self, options.max_width)

    def _repr_html_(self) -> str:
        titles, *rows = self.rows
        head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
        body = "".join(f"<tr>{self._html_cells(row)}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _html_cells(self, row: tuple[str, ...]) -> str:
        sides = ["right" if column.is_number else "left" for column in self.columns]
        return "".join(
            f'<td style="text-align: {side}">{html.escape(cell)}</td>'
            for cell, side in zip(row, sides, strict=True)
        )

    def _drawing(self) -> Any:
        # By name, so that reading runs from Python loads no rich.
        return importlib.import_module("ptutils.core.results.drawing")
