"""What differs between two States, leaf by leaf, as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ptutils.core.results.table import Column, Table
from ptutils.meta.differences import Change
from ptutils.meta.distance import Distance

__all__ = ["changes_table"]

_WIDEST_PATH = 64


def changes_table(changes: Sequence[Change]) -> Table:
    """Return a row per leaf: what it was, what it is, and how far these lie apart."""

    def numbers(title: str, write: Callable[[Distance], str]) -> Column:
        cells = ["" if c.distance is None else write(c.distance) for c in changes]
        return Column(title=title, cells=cells, is_number=True)

    return Table(
        [
            Column(title="path", cells=[c.path for c in changes], widest=_WIDEST_PATH),
            Column(title="what", cells=[str(c.kind) for c in changes]),
            numbers("max", lambda found: f"{found.max_abs:.3g}"),
            numbers("norm", lambda found: f"{found.norm:.3g}"),
            numbers("relative", lambda found: f"{found.relative:.3g}"),
            numbers("cosine", lambda found: f"{found.cosine:.6f}"),
            numbers("elements", _elements),
            Column(title="ours", cells=[c.ours for c in changes]),
            Column(title="theirs", cells=[c.theirs for c in changes]),
        ],
        keep=3,
    )


def _elements(found: Distance) -> str:
    text = f"{found.num_changed:,} of {found.num_elements:,}"
    return f"{text}, {found.num_nan:,} NaN on one side" if found.num_nan else text
