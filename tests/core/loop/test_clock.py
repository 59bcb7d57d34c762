"""The clock asks the schedule as seldom as it can."""

from __future__ import annotations

import sys

from ptutils.core.loop.clock import Clock
from ptutils.core.loop.schedule import Schedule
from ptutils.core.loop.stage import Values


def at(step: int, epoch: int = 0) -> Values:
    return Values(step=step, epoch=epoch)


def test_elapsed_time_includes_earlier_processes() -> None:
    assert 7.0 <= Clock(Schedule(), 7.0).elapsed_s < 8.0


def test_loop_by_epochs_is_never_woken() -> None:
    clock = Clock(Schedule("2 epochs"))
    clock.leave_step_boundary(3)
    assert clock.wake == sys.maxsize


def test_loop_by_steps_is_woken_when_something_may_be_due() -> None:
    clock = Clock(Schedule("9 steps", validate="4 steps"))
    clock.leave_step_boundary(5)
    assert clock.wake == 8


def test_interruption_wakes_at_once_and_keeps_the_first_reason() -> None:
    clock = Clock(Schedule())
    clock.leave_step_boundary(3)
    clock.interrupt("first")
    clock.interrupt("second")
    assert (clock.wake, clock.reason) == (0, "first")


def test_interruption_at_a_boundary_is_not_forgotten() -> None:
    clock = Clock(Schedule())
    clock.interrupt("now")
    clock.leave_step_boundary(3)
    assert clock.wake == 0


def test_what_goes_by_steps_is_due_between_steps_only() -> None:
    clock = Clock(Schedule(validate="4 steps"))
    assert not clock.is_due("validate", at(4))
    clock.enter_step_boundary()
    assert clock.is_due("validate", at(4))
    clock.leave_step_boundary(4)
    assert not clock.is_due("validate", at(4))


def test_what_goes_by_epochs_is_due_at_their_end_only() -> None:
    clock = Clock(Schedule(validate="2 epochs"))
    assert not clock.is_due("validate", at(4, epoch=0))
    assert clock.is_due("validate", at(8, epoch=1))
    clock.enter_step_boundary()
    assert not clock.is_due("validate", at(8, epoch=1))


def test_training_is_over_when_the_duration_is_reached() -> None:
    assert not Clock(Schedule("9 steps")).is_over(at(8))
    assert Clock(Schedule("9 steps")).is_over(at(9))
    assert Clock(Schedule("5 s"), 6.0).is_over(at(0))
