"""What differs between two runs, as a table with one run beside the other."""

from __future__ import annotations

from collections.abc import Iterator
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
    rows = [
        row
        for each in difference.rows
        for row in _leaves(f"{each.section}.{each.path}", each.ours, each.theirs)
    ]
    paths, ours, theirs = ([row[place] for row in rows] for place in range(3))
    return Table(
        [
            Column(title="path", cells=paths, widest=_WIDEST_PATH),
            Column(title=difference.ours, cells=ours),
            Column(title=difference.theirs, cells=theirs),
        ],
        keep=3,
    )


def _leaves(path: str, ours: Value, theirs: Value) -> Iterator[tuple[str, str, str]]:
    """Yield path and cells; what only one side has is told leaf by leaf."""
    held = theirs if ours is ABSENT else ours
    if isinstance(held, dict) and held and (ours is ABSENT or theirs is ABSENT):
        for name, child in held.items():
            is_ours = theirs is ABSENT
            pair = (child, ABSENT) if is_ours else (ABSENT, child)
            yield from _leaves(f"{path}.{name}", *pair)
    else:
        yield path, _cell(ours), _cell(theirs)


def _cell(value: Value) -> str:
    return "" if value is ABSENT else repr(value)
