"""Schedule: how long training lasts, and what happens when."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ptutils.core.loop.duration import Duration
from ptutils.core.loop.retention import Keep, require_names
from ptutils.core.module import Module
from ptutils.errors import ConfigError
from ptutils.meta.values import Document, Value

__all__ = ["Schedule"]


class Schedule(Module):
    """Decide from the counters alone when to validate, to save and to stop.

    A resumed run needs no memory of what was due before. Only periods of time do: the
    Schedule's state counts those that have passed, in seconds of training that the
    caller hands in; it never reads a clock.

    Args:
        duration: How long to train: ``"10 epochs"``, ``"5000 steps"``, ``"2 h"``. A
            bare number is refused, here and below: it does not say of what.
        validate: How often to validate; None for never.
        checkpoint: How often to save, as a text or as ``{"every": text}``; None for
            only at the end.
        keep: Which checkpoints stay, all if None: ``last`` (how many of the newest),
            ``best`` (``metric``, ``mode`` and ``count``) and ``every`` (one per period
            for good). The newest and pinned ones always stay.

    Raises:
        ConfigError: If a duration or ``keep`` cannot be understood.

    Example:
        >>> schedule = Schedule("10 epochs", checkpoint="100 steps", keep={"last": 3})
        >>> schedule.next_step(250), schedule.after_step("checkpoint", 300)
        (300, True)
        >>> schedule.after_epoch("validate", 1), schedule.is_over(4000, 10)
        (True, True)
    """

    def __init__(
        self,
        duration: str | int = "10 epochs",
        *,
        validate: str | int | None = "1 epoch",
        checkpoint: str | int | dict[str, Any] | None = "1 epoch",
        keep: dict[str, Any] | None = None,
    ) -> None:
        self.duration = _read(duration, "duration")
        self.validate = None if validate is None else _read(validate, "validate")
        self.checkpoint = None
        if checkpoint is not None:
            if isinstance(checkpoint, dict):
                require_names(checkpoint, "checkpoint", ("every",), ("every",))
                checkpoint = checkpoint["every"]
            self.checkpoint = _read(checkpoint, "checkpoint")
        self.keep = None if keep is None else Keep.read(keep)
        self.state.periods = {"validate": 0, "checkpoint": 0}

    def __call__(self, step: int, epoch: int, elapsed_s: float = 0.0) -> bool:
        """Tell whether training is over; see :meth:`is_over`."""
        return self.is_over(step, epoch, elapsed_s)

    def is_over(self, step: int, epoch: int, elapsed_s: float = 0.0) -> bool:
        """Tell whether the duration has been reached.

        Args:
            step: Updates done.
            epoch: Full passes done.
            elapsed_s: Seconds of training, those of earlier processes included.
        """
        seconds = self.duration.seconds
        if seconds is not None:
            return elapsed_s >= seconds
        reached = step if self.duration.unit == "steps" else epoch
        return reached >= self.duration.count

    def fraction(self, step: int, epoch: float, elapsed_s: float = 0.0) -> float:
        """Return how much of the duration is done, 0 to 1."""
        seconds = self.duration.seconds
        if seconds is not None:
            return min(elapsed_s / seconds, 1.0)
        reached = step if self.duration.unit == "steps" else epoch
        return min(reached / self.duration.count, 1.0)

    def next_step(self, step: int) -> int:
        """Return the next step after which something may be due between two steps.

        It is the very next one where seconds count, and a number beyond any training
        where nothing goes by steps.
        """
        upcoming = [sys.maxsize]
        for every in (self.validate, self.checkpoint, self.duration):
            if every is not None and every.seconds is not None:
                upcoming.append(step + 1)
            elif every is not None and every.unit == "steps":
                upcoming.append(step - step % int(every.count) + int(every.count))
        return min(upcoming)

    def after_step(self, name: str, step: int, elapsed_s: float = 0.0) -> bool:
        """Tell whether ``"validate"`` or ``"checkpoint"`` is due after a step.

        Ask once per step: a period of time that has passed is due once, which the state
        remembers.
        """
        every = self._every(name)
        if every is None:
            return False
        if every.seconds is None:
            return every.unit == "steps" and step % every.count == 0
        periods = int(elapsed_s // every.seconds)
        is_due: bool = periods > self.state.periods[name]
        self.state.periods[name] = periods
        return is_due

    def after_epoch(self, name: str, epoch: int) -> bool:
        """Tell whether one of the two is due after ``epoch`` full passes."""
        every = self._every(name)
        return every is not None and every.unit == "epochs" and not epoch % every.count

    def retained(self, checkpoints: Sequence[Document]) -> set[str]:
        """Return the ids of the checkpoints that stay.

        Args:
            checkpoints: In the order of writing, each with ``_id``, ``step``,
                ``epoch``, ``metrics`` and, if it has them, ``why`` and ``pinned``.

        Raises:
            ConfigError: If the best are kept by a metric that no checkpoint has while
                they have others.
        """
        if self.keep is None:
            return {document["_id"] for document in checkpoints}
        return self.keep.choose(checkpoints)

    def _every(self, name: str) -> Duration | None:
        return {"validate": self.validate, "checkpoint": self.checkpoint}[name]


def _read(text: Value, path: str) -> Duration:
    try:
        duration = Duration.parse(text)
    except ConfigError as error:
        fields = {"expected": error.expected, "got": error.got, "fix": error.fix}
        raise ConfigError(error.what, path=path, **fields) from error
    if duration.unit == "samples":
        raise ConfigError(
            "cannot schedule by samples",
            path=path,
            expected="steps, epochs or a time",
            got=repr(str(duration)),
            fix="divide by the batch size and write steps",
        )
    return duration
