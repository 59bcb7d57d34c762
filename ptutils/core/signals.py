"""Ctrl-C and SIGTERM: finish the step and save; a second Ctrl-C stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

__all__ = ["Signals", "handling", "listening"]

Handler: TypeAlias = Callable[[int, "FrameType | None"], None]

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

    It replaces the handlers of SIGINT and SIGTERM, as :func:`handling` does.
    """
    signals = Signals()

    def react(number: int, frame: FrameType | None) -> None:
        if signals.received is signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt("interrupted twice by Ctrl-C")
        signals.received = signal.Signals(number)
        interrupt(_REASONS[signals.received])

    with handling(_REASONS, react):
        yield signals


@contextmanager
def handling(numbers: Iterable[signal.Signals], handler: Handler) -> Iterator[None]:
    """Replace the handlers of signals while the block runs.

    Signals reach the main thread only; elsewhere this changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, before)
