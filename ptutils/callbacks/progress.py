"""Progress: bars on the terminal that cost training next to nothing."""

from __future__ import annotations

import atexit
import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from ptutils.core.callback import Callback
from ptutils.meta.values import Value

__all__ = ["Progress"]

_REFRESH_S = 0.1  # Drawing takes about a millisecond: 1% of the time.


class Progress(Callback):
    """Show one bar for the run and one for the epoch, with the loss and the metrics.

    It writes to stderr, and nothing at all where that is no terminal. A loss is read
    from its device only when the bars are drawn, about ten times a second.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._next_s = 0.0

    def before_looper(self, schedule: Value, metrics: Value) -> None:
        """Start drawing; this fires once in every process, resumed ones included."""
        if not sys.stderr.isatty():
            return
        duration = schedule.duration
        self._counts_epochs = duration.unit == "epochs"
        is_counted = duration.unit in ("epochs", "steps")
        self._bars = _new_bars()
        # An unknown end shows as a bar that only pulses.
        total = duration.count if is_counted else None
        self._run = self._bars.add_task("run", total=total, note=_join(metrics))
        self._epoch = self._bars.add_task("epoch", total=None, note="")
        self._bars.start()
        # Whatever ends the process, the cursor comes back.
        atexit.register(self.close)

    def end_of_training_step(
        self, step: int, epoch: int, num_batches: int | None, loss: Value
    ) -> None:
        """Draw, if it was last done a tenth of a second ago."""
        if self._bars is not None and time.monotonic() >= self._next_s:
            self._draw(step, epoch, num_batches, loss)

    def after_validate(
        self, step: int, epoch: int, num_batches: int | None, metrics: Value
    ) -> None:
        """Show what was measured, and where training was then."""
        if self._bars is not None:
            self._bars.update(self._run, note=_join(metrics))
            self._draw(step, epoch, num_batches)

    def after_epoch(self, step: int, epoch: int, num_batches: int | None) -> None:
        """Show the whole epoch."""
        if self._bars is not None:
            self._draw(step, epoch, num_batches)

    def after_looper(self) -> None:
        """Leave the bars as they are, and the terminal as it was."""
        self.close()

    def close(self) -> None:
        """Stop drawing; training may go on."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            atexit.unregister(self.close)

    def _draw(
        self, step: int, epoch: int, num_batches: int | None, loss: Value = None
    ) -> None:
        bars = self._bars
        if bars is None:
            return
        taken = 0
        if num_batches:
            # A run that resumes in an epoch is not told where it began.
            taken = min(max(step - epoch * num_batches, 0), num_batches)
        passed = epoch + (taken / num_batches if num_batches else 0)
        bars.update(self._run, completed=passed if self._counts_epochs else step)
        bars.update(self._epoch, completed=taken, total=num_batches)
        if loss is not None:
            bars.update(self._epoch, note=_join({"train.loss": loss}))
        bars.refresh()
        self._next_s = time.monotonic() + _REFRESH_S


def _new_bars() -> Bars:
    return Bars(
        TextColumn("{task.description:<5}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
    )


def _join(values: Value) -> str:
    return "  ".join(f"{name} {float(value):.4g}" for name, value in values.items())
