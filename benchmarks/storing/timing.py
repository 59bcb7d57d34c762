"""Times, taken several times over on a machine that may be busy."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Times", "in_turn", "once", "process_times", "times_of"]


@dataclass(frozen=True)
class Times:
    """Seconds of one act, done several times over.

    Attributes:
        best: The least; what the machine can do when it is not busy with others.
        median: The usual.
    """

    best: float
    median: float

    def __str__(self) -> str:
        return f"{self.best * 1e3:.1f} ({self.median * 1e3:.1f}) ms"


def once(act: Callable[[], object]) -> float:
    """Return the seconds of an act."""
    started_s = time.perf_counter()
    act()
    return time.perf_counter() - started_s


def times_of(act: Callable[[], object], repeats: int = 20) -> Times:
    """Return the times of an act that was done once before."""
    act()
    times = [once(act) for _ in range(repeats)]
    return Times(min(times), statistics.median(times))


def in_turn(
    ours: Callable[[], object], theirs: Callable[[], object], repeats: int = 100
) -> tuple[Times, Times]:
    """Return the times of two acts, each done once before.

    They take turns, so that a busy moment of the machine meets both.
    """
    ours(), theirs()
    times = [(once(ours), once(theirs)) for _ in range(repeats)]
    first, second = (
        Times(min(each), statistics.median(each)) for each in zip(*times, strict=True)
    )
    return first, second


def process_times(command: Sequence[str], folder: Path) -> Times:
    """Return the times of a whole process that succeeds."""
    return times_of(
        lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True), 9
    )
