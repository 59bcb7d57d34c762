"""Boundaries: what happens between two steps and between two epochs of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ptutils.core.loop.clock import Clock
from ptutils.core.loop.stage import Part, Unwind, Values

__all__ = ["Services", "add_boundaries"]


def _nothing(*arguments: object, **options: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a training calls at certain moments, for whoever records it.

    Attributes:
        settle: Called once, just before the first epoch or its rest.
        save: Called with the reason when a checkpoint is due. With ``is_ahead=True``
            it may copy parameters in the background until ``complete`` is called.
        complete: Called before parameters change.
        pause: Called with the reason when training is to pause; it is to call
            :meth:`ptutils.Trainer.wait`. None waits.
    """

    settle: Callable[[], None] = _nothing
    save: Callable[..., None] = _nothing
    complete: Callable[[], None] = _nothing
    pause: Callable[[str], None] | None = None


def add_boundaries(
    values: Values, state: Any, validate: Part, *, overlaps: bool
) -> None:
    """Put in flight what the loop calls between steps and between epochs.

    Args:
        values: What is in flight.
        state: The trainer's, which remembers up to which step all was looked at.
        validate: Validates, if that is due.
        overlaps: Whether parameters stay as they are until Update.
    """

    def between_steps(values: Values) -> None:
        clock: Clock = values["clock"]
        clock.enter_step_boundary()
        validate(values)
        state.passed = values["step"]
        if clock.is_due("checkpoint", values):
            is_ahead = overlaps and _goes_on(values)
            values["save"]("schedule", is_ahead=is_ahead)
            values["is_copying"] = is_ahead
        if clock.pause_reason:
            pause = values["pause"] or _waiting(values)
            pause(clock.pause_reason)
        _stop_inside(values)
        clock.leave_step_boundary(values["step"])

    def enter(values: Values) -> None:
        # A checkpoint that a callback took at the end of a step lies before what
        # is due after that step.
        position = values["provider"].loaders["train"].state["position"]
        if position and state.passed != values["step"]:
            between_steps(values)
        _stop_inside(values)

    def between_epochs(values: Values) -> None:
        state.passed = 0  # As if no step had been looked at.
        if values["schedule"].after_epoch("checkpoint", values["epoch"]):
            values["save"]("schedule")

    values.update(
        enter=enter, between_steps=between_steps, between_epochs=between_epochs
    )


def _waiting(values: Values) -> Callable[[str], None]:
    return lambda reason: values["clock"].wait()


def _stop_inside(values: Values) -> None:
    """Leave the loop if training is to stop here; the end of an epoch comes first."""
    clock: Clock = values["clock"]
    if (clock.reason or clock.is_over(values)) and not _is_at_end(values):
        values["complete"]()
        raise Unwind


def _is_at_end(values: Values) -> bool:
    loader = values["provider"].loaders["train"]
    return bool(loader.state["position"] >= len(loader))


def _goes_on(values: Values) -> bool:
    """Tell whether another step of this epoch comes next, as far as is known."""
    clock: Clock = values["clock"]
    is_over = clock.reason or clock.pause_reason or clock.is_over(values)
    return not (is_over or _is_at_end(values))
