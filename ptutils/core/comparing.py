"""Comparing two States leaf by leaf, or two runs section by section."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import overload

from ptutils.core.records.checkpoint import Checkpoint
from ptutils.core.records.difference import Difference
from ptutils.core.records.run import Run
from ptutils.core.results.changes import changes_table
from ptutils.core.results.table import Table
from ptutils.core.tree import is_child
from ptutils.errors import StateMismatchError
from ptutils.meta.differences import Change, Kind, changes
from ptutils.meta.lazy import read_whole
from ptutils.meta.state import State
from ptutils.meta.values import Document, Value

__all__ = ["StateDiff", "diff"]


class StateDiff:
    """Where two States differ, leaf by leaf, and by how much.

    It is true if they are not the same bits. They may not be although each leaf is
    equal: where leaves share memory on one side, or keys are in another order.

    Attributes:
        changed: The leaves that differ, in the order of our State.
        equal: The paths of those that do not.
        digests: Of our State and of theirs.
    """

    def __init__(self, ours: State, theirs: State) -> None:
        self.changed: list[Change] = []
        self.equal: list[str] = []
        for change in changes(ours, theirs):
            if change.kind is Kind.EQUAL:
                self.equal.append(change.path)
            else:
                self.changed.append(change)
        self.digests = ours.digest(), theirs.digest()

    def __bool__(self) -> bool:
        return self.digests[0] != self.digests[1]

    def __len__(self) -> int:
        return len(self.changed)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changed)

    def __getitem__(self, path: str) -> Change:
        for change in self.changed:
            if change.path == path:
                return change
        raise KeyError(path)

    def table(self) -> Table:
        """Return the leaves that differ, a row for each; ``print`` draws it."""
        return changes_table(self.changed)

    def to_dict(self) -> Document:
        """Return everything as plain values."""
        changed = [
            {**dataclasses.asdict(change), "kind": str(change.kind)}
            for change in self.changed
        ]
        return {
            "is_same": not self,
            "digests": list(self.digests),
            "changed": changed,
            "equal": list(self.equal),
        }

    def summary(self) -> str:
        """Return in one line how many leaves differ, and how else the two do."""
        if not self:
            return f"the same bits in {len(self.equal)} leaves"
        if self.changed:
            total = len(self.changed) + len(self.equal)
            return f"{len(self.changed)} of {total} leaves differ"
        return (
            f"all {len(self.equal)} leaves are equal; their order, or which of them "
            "share memory, is not"
        )

    def __str__(self) -> str:
        return f"{self.table()}\n{self.summary()}" if self.changed else self.summary()

    def __repr__(self) -> str:
        return f"StateDiff({self.summary()})"

    def _repr_html_(self) -> str:
        return f"{self.table()._repr_html_()}<p>{self.summary()}</p>"


@overload
def diff(ours: Run, theirs: Run) -> Difference: ...
@overload
def diff(ours: Value, theirs: Value) -> StateDiff: ...
def diff(ours: Value, theirs: Value) -> Difference | StateDiff:
    """Return where two runs differ, or two States.

    Args:
        ours: A Run; or what has a State: a State, a dict, a Checkpoint, a Module, a
            net, an optimizer, the path of a file.
        theirs: Another run; or what has a State.

    Returns:
        Of two runs where config, source and summary differ; of two States, which
        leaves differ, and by how much.

    Raises:
        StateMismatchError: If one of them is a Run and the other none, or has no State.
        EncodeError: If a State holds what cannot be stored.

    Example:
        >>> ours, theirs = State(lr=0.1, step=3), State(lr=0.1, step=5)
        >>> print(diff(ours, theirs))
        path  what     max  norm  relative    cosine  elements  ours  theirs
        step  changed    2     2     0.667  1.000000    1 of 1  3     5
        1 of 2 leaves differ
    """
    if isinstance(ours, Run) and isinstance(theirs, Run):
        return ours.diff(theirs)
    return StateDiff(_state(ours), _state(theirs))


def _state(given: Value) -> State:
    if isinstance(given, Checkpoint):
        return given.read()
    if isinstance(given, Mapping | str | os.PathLike):
        return read_whole(given if isinstance(given, State) else State(given))
    if is_child(given):
        return State(given.state_dict())
    raise StateMismatchError(
        "cannot compare this with a State",
        expected="two runs, or two of: State, dict, Checkpoint, Module, path of a file",
        got=type(given).__name__,
        fix="compare with run.checkpoint(step)" if isinstance(given, Run) else "",
    )
