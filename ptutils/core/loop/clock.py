"""Clock: what the schedule asks for now, at the price of one comparison per step."""

from __future__ import annotations

import time

from ptutils.core.loop.schedule import Schedule
from ptutils.core.loop.stage import Values

__all__ = ["Clock"]

_LOOK_S = 0.05


class Clock:
    """Watches the counters of one training for its schedule.

    Args:
        schedule: What is due when.
        elapsed_s: Seconds of training before this process; reads the monotonic clock.
    """

    def __init__(self, schedule: Schedule, elapsed_s: float = 0.0) -> None:
        self.schedule = schedule
        self.reason = ""
        self.wake = 0
        """The step at which the loop looks up; 0 makes it do so after every step."""
        self.pause_reason = ""
        self._is_save_asked = False
        self._between_steps = False
        self._before_s = elapsed_s
        self._started_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds of training, those of earlier processes included."""
        return self._before_s + time.monotonic() - self._started_s

    def interrupt(self, reason: str) -> None:
        """Ask the loop to stop after the step in progress; safe in signal handlers."""
        self.reason = self.reason or reason
        self.wake = 0

    def ask_for_pause(self, reason: str) -> None:
        """Ask the loop to wait as soon as the step in progress is complete."""
        self.pause_reason = reason
        self.wake = 0

    def go_on(self) -> None:
        """Let the loop wait no longer."""
        self.pause_reason = ""

    def wait(self) -> None:
        """Wait while the loop is to pause; this time is no time of training."""
        started_s = time.monotonic()
        while self.pause_reason and not self.reason:
            time.sleep(_LOOK_S)  # Short, so that signals and requests are seen soon.
        self._before_s -= time.monotonic() - started_s

    def ask_for_checkpoint(self) -> None:
        """Ask the loop to save as soon as the step in progress is complete."""
        self._is_save_asked = True
        self.wake = 0

    def enter_step_boundary(self) -> None:
        """Note that what is asked from now on is asked between two steps."""
        self._between_steps = True

    def leave_step_boundary(self, step: int) -> None:
        """Note that the next step begins; compute when to look up again."""
        self._between_steps = False
        self.wake = self.schedule.next_step(step)
        if (
            self.reason or self.pause_reason or self._is_save_asked
        ):  # A signal that came meanwhile.
            self.wake = 0

    def is_due(self, name: str, values: Values) -> bool:
        """Tell whether ``validate`` or ``checkpoint`` is due at this boundary."""
        if self._between_steps:
            is_due = self.schedule.after_step(name, values["step"], self.elapsed_s)
            if name == "checkpoint" and self._is_save_asked:
                self._is_save_asked = False
                return True
            return is_due
        return self.schedule.after_epoch(name, values["epoch"] + 1)

    def is_over(self, values: Values) -> bool:
        """Tell whether the schedule's duration has been reached."""
        return self.schedule.is_over(values["step"], values["epoch"], self.elapsed_s)
