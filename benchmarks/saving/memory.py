"""Memory that an act takes at its peak, told by the system, in a process of its own."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["Peak", "extra_in_child", "extra_of"]

_STATUS = Path("/proc/self/status")


class Peak:
    """Watches the memory of this process from now on."""

    def __init__(self) -> None:
        ctypes.CDLL(None).malloc_trim(0)  # What is free already must count as new.
        Path("/proc/self/clear_refs").write_text("5")  # Forget the peak so far.
        self._before = _bytes("VmRSS")

    def extra(self) -> int:
        """Return how many bytes more there were at the peak."""
        return _bytes("VmHWM") - self._before


def extra_of(act: Callable[[], object]) -> int:
    """Return how many bytes an act took at its peak beyond what was there before."""
    peak = Peak()
    act()
    return peak.extra()


def extra_in_child(script: str, *arguments: str) -> int:
    """Return the number that a script prints last."""
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


def _bytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
