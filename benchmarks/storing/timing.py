"""Times, taken several times over on a machine that may be busy."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

__all__ = ["median_s", "process_s"]


def median_s(act: Callable[[], object], repeats: int = 9) -> float:
    """Return the median time of an act that was done once before."""
    act()
    times = []
    for _ in range(repeats):
        started_s = time.perf_counter()
        act()
        times.append(time.perf_counter() - started_s)
    return statistics.median(times)


def process_s(command: Sequence[str], folder: Path, repeats: int = 5) -> float:
    """Return the median time of a whole process that succeeds."""
    return median_s(
        lambda: subprocess.run(command, cwd=folder, check=True, capture_output=True),
        repeats,
    )
