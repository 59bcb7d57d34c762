"""Progress: bars on the terminal that cost training next to nothing."""

from __future__ import annotations

import atexit
import math
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
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
        self._display: _Display | None = None

    def before_looper(self, trainer: Value, schedule: Value, metrics: Value) -> None:
        """Start drawing; this fires once in every process, resumed ones included."""
        if sys.stderr.isatty():
            self._display = _Display(trainer, schedule)
            self._display.note("run", metrics)
            # Whatever ends the process, the cursor comes back.
            atexit.register(self.close)

    def end_of_training_step(self, num_batches: int | None, loss: Value) -> None:
        """Draw, if it was last done a tenth of a second ago."""
        display = self._display
        if display is not None:
            display.loss = loss
            if time.monotonic() >= display.next_s:
                display.draw(num_batches)

    def after_validate(self, num_batches: int | None, metrics: Value) -> None:
        """Show what was measured, and where training was then."""
        if self._display is not None:
            self._display.note("run", metrics)
            self._display.draw(num_batches)

    def after_epoch(self, num_batches: int | None) -> None:
        """Show the whole epoch."""
        if self._display is not None:
            self._display.draw(num_batches)

    def after_looper(self) -> None:
        """Leave the terminal as it was, with the bars where they ended."""
        if self._display is not None:
            self._display.note_loss()
        self.close()

    def close(self) -> None:
        """Stop drawing, wherever training is; it may go on."""
        if self._display is not None:
            self._display.close()
            self._display = None
            atexit.unregister(self.close)


class _Display:
    """The bars of one training, its latest loss, and when to draw them next."""

    def __init__(self, trainer: Value, schedule: Value) -> None:
        self.next_s = 0.0
        self.loss: Value = None
        self._trainer = trainer
        self._schedule = schedule
        self._num_batches = 0
        self._bars = Bars(
            TextColumn("{task.description:<5}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
        )
        self._tasks = {
            name: self._bars.add_task(name, total=None, count="", note="")
            for name in ("run", "epoch")
        }
        self._bars.start()

    def note(self, name: str, values: Value) -> None:
        """Put numbers beside a bar; this reads them from their device."""
        texts = [f"{path} {float(value):.4g}" for path, value in values.items()]
        self._bars.update(self._tasks[name], note="  ".join(texts))

    def note_loss(self) -> None:
        """Put the latest loss beside the epoch, if there was one."""
        if self.loss is not None:
            self.note("epoch", {"train.loss": self.loss})

    def draw(self, num_batches: int | None) -> None:
        """Draw both bars as the trainer's counters stand, with the latest loss."""
        self._num_batches = num_batches or 0
        self.note_loss()
        self._update()
        self._bars.refresh()
        self.next_s = time.monotonic() + _REFRESH_S

    def close(self) -> None:
        """Draw for the last time, and show the cursor."""
        self._update()
        self._bars.stop()

    def _update(self) -> None:
        step, epoch, whole = self._trainer.step, self._trainer.epoch, self._num_batches
        # A run that resumes inside an epoch is not told where the epoch began; the
        # last epoch is over when the trainer counts it.
        taken = min(max(step - epoch * whole, 0), whole) or whole
        passed = step / whole if whole else epoch
        fraction = self._schedule.fraction(step, passed, self._trainer.elapsed_s)
        duration = self._schedule.duration
        reached = math.floor(fraction * duration.count + 1e-6)
        self._show("run", fraction, 1.0, f"{reached}/{duration}")
        self._show("epoch", taken, whole, f"{taken}/{whole}")

    def _show(self, name: str, completed: float, total: float, count: str) -> None:
        # An unknown total is drawn as a bar that pulses.
        self._bars.update(
            self._tasks[name], completed=completed, total=total or None, count=count
        )
