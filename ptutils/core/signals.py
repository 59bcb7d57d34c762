"""Ctrl-C and SIGTERM: finish the step and save; a second Ctrl-C stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Signals", "listening"]

_REASONS = {
    signal.SIGINT: "interrupted by Ctrl-C",
    signal.SIGTERM: "terminated by SIGTERM",
}


class Signals:
    """Which signal came while listening, if any."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def raise_if_any(self) -> None:
        """End the program as the signal would have, now that all is saved.

        Raises:
            KeyboardInterrupt: After Ctrl-C.
            SystemExit: After SIGTERM, with code 143.
        """
        if self.received is signal.SIGINT:
            raise KeyboardInterrupt(_REASONS[self.received])
        if self.received is signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)


@contextmanager
def listening(interrupt: Callable[[str], None]) -> Iterator[Signals]:
    """Call ``interrupt`` with a reason when the process is asked to stop.

    It replaces the handlers of SIGINT and SIGTERM while the block runs. Signals reach
    the main thread only; elsewhere this changes nothing.
    """
    signals = Signals()

    def react(number: int, frame: FrameType | None) -> None:
        if signals.received is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt("interrupted twice by Ctrl-C")
        signals.received = signal.Signals(number)
        interrupt(_REASONS[signals.received])

    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    previous = {number: signal.signal(number, react) for number in _REASONS}
    try:
        yield signals
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
