"""Difference: where two runs differ in config, source and summary, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ptutils.core.results.side_by_side import difference_table
from ptutils.core.results.table import Table
from ptutils.meta.plain import ABSENT, differences
from ptutils.meta.values import Value

if TYPE_CHECKING:
    from ptutils.core.records.run import Run

__all__ = ["Difference", "Row", "difference_of"]

_SECTIONS = ("config", "source", "summary")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One path at which two runs differ; ``ABSENT`` where one has nothing there."""

    section: str
    path: str
    ours: Value
    theirs: Value


class Difference(Mapping[str, dict[str, tuple[Value, Value]]]):
    """What differs between two runs: section -> path -> (ours, theirs).

    Exact: 1, 1.0 and True differ, as do a tuple and a list; NaN equals itself. A
    package that only one of them had imported when it began is no difference.

    Attributes:
        ours: The id of the one run.
        theirs: The id of the other.
        rows: The same as a flat list, in the order of the sections.
    """

    def __init__(self, ours: str, theirs: str, rows: list[Row]) -> None:
        self.ours = ours
        self.theirs = theirs
        self.rows = rows

    def __getitem__(self, section: str) -> dict[str, tuple[Value, Value]]:
        if section not in _SECTIONS:
            raise KeyError(section)
        return {
            row.path: (row.ours, row.theirs)
            for row in self.rows
            if row.section == section
        }

    def __iter__(self) -> Iterator[str]:
        return iter(_SECTIONS)

    def __len__(self) -> int:
        return len(_SECTIONS)

    def __bool__(self) -> bool:
        return bool(self.rows)

    def table(self) -> Table:
        """Return the two runs side by side, path by path; ``print`` draws it."""
        return difference_table(self)

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(self[name])}" for name in self)
        return f"Difference({self.ours!r}, {self.theirs!r}: {counts})"


def difference_of(ours: Run, theirs: Run) -> Difference:
    """Compare two runs, of one database or of two."""
    rows = [
        Row(section=section, path=path, ours=mine, theirs=other)
        for section in _SECTIONS
        for path, (mine, other) in differences(
            _plain(getattr(ours, section)), _plain(getattr(theirs, section))
        )
        if not (
            f"{section}.{path}".startswith("source.packages.")
            and (mine is ABSENT or other is ABSENT)
        )
    ]
    return Difference(ours.id, theirs.id, rows)


def _plain(section: Mapping[str, Value]) -> Value:
    """Return nested plain dicts; a State and a Config are mappings of their own."""
    return {
        name: _plain(value) if isinstance(value, Mapping) else value
        for name, value in section.items()
    }
