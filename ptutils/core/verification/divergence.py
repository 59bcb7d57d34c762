"""Divergence: the first step at which two traced runs are not the same."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ptutils.core.comparing import diff
from ptutils.core.records.run import Run
from ptutils.errors import NotFoundError
from ptutils.meta.history import History, Point

__all__ = ["Divergence", "divergence_of"]

_TRACE: Final = "trace."
_KINDS: Final = (
    ("samples", "trace.samples"),
    ("batch", "trace.batch"),
    ("random streams", "trace.state/random/"),
    ("state", _TRACE),
    ("metrics", ""),
)
"""What may differ, causes before effects, and how its paths in History begin."""


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """Where two runs part.

    Attributes:
        step: The first step that is not the same.
        kind: The first of these that differs in it: ``samples`` (their indices),
            ``batch`` (what was read), ``random streams``, ``state``, ``metrics``.
        paths: All that differs in it, first what is of that kind: leaves of the State,
            metrics.
    """

    step: int
    kind: str
    paths: list[str]


def divergence_of(ours: Run, theirs: Run) -> Divergence | None:
    """Return where two runs part that were traced, or None.

    Raises:
        NotFoundError: If one of them was never saved.
    """
    return _in_histories(ours.history, theirs.history) or _in_states(ours, theirs)


def _in_histories(ours: History, theirs: History) -> Divergence | None:
    steps: dict[str, int] = {}
    for path in dict.fromkeys((*ours, *theirs)):
        step = _first(*(list(h[path]) if path in h else [] for h in (ours, theirs)))
        if step is not None:
            steps[path] = step
    if not steps:
        return None
    first = min(steps.values())
    paths = sorted((path for path in steps if steps[path] == first), key=_rank)
    kind, _ = _KINDS[_rank(paths[0])]
    return Divergence(step=first, kind=kind, paths=[_shown(path) for path in paths])


def _shown(path: str) -> str:
    """Return a leaf's own path, or a metric's."""
    is_leaf = path.startswith(_TRACE)
    return path.removeprefix(_TRACE).replace("/", ".") if is_leaf else path


def _rank(path: str) -> int:
    return next(
        rank for rank, (_, start) in enumerate(_KINDS) if path.startswith(start)
    )


def _first(ours: list[Point], theirs: list[Point]) -> int | None:
    """Return the step of the first point that is not the same on both sides."""
    for mine, other in zip(ours, theirs, strict=False):
        if mine[:2] != other[:2] or _bits(mine.value) != _bits(other.value):
            return min(mine.step, other.step)
    longer = max(ours, theirs, key=len)
    shared = min(len(ours), len(theirs))
    return longer[shared].step if shared < len(longer) else None


def _bits(value: float) -> tuple[type, bytes | float]:
    is_float = type(value) is float
    return type(value), struct.pack("d", value) if is_float else value


def _in_states(ours: Run, theirs: Run) -> Divergence | None:
    """Return what a trace does not see: the State after the last step."""
    pair = [run.newest() for run in (ours, theirs)]
    first, second = pair
    if first is None or second is None:
        raise NotFoundError(
            "cannot compare runs that were never saved",
            expected="a checkpoint of each",
            got="none",
        )
    if first.digest == second.digest:
        return None
    paths = [change.path for change in diff(first, second)]
    return Divergence(step=first.step, kind="state", paths=paths)
