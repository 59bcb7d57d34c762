"""The loop runs as long, and validates as often, as the schedule says."""

from __future__ import annotations

from ptutils.core.loop.schedule import Schedule
from tests.core.training import provider, train, trainer


def test_validation_in_the_middle_of_epochs() -> None:
    made = trainer()
    train(made, "4 epochs", validate="7 steps")
    column = made.history["valid.loss"]
    assert (list(column.steps), list(column.epochs)) == ([7, 14], [1, 3])


def test_validation_by_steps_at_the_end_of_an_epoch_is_done_once() -> None:
    made = trainer()
    train(made, "2 epochs", validate="4 steps")
    assert list(made.history["valid.loss"].steps) == [4, 8]


def test_validation_by_seconds() -> None:
    made = trainer()
    made.train(
        provider(), schedule=Schedule("3 steps", validate="10 s"), elapsed_s=35.0
    )
    assert list(made.history["valid.loss"].steps) == [1]


def test_duration_in_steps_ends_inside_an_epoch() -> None:
    made = trainer()
    train(made, "6 steps")
    assert (made.step, made.epoch) == (6, 1)


def test_duration_in_steps_that_ends_with_an_epoch_completes_it() -> None:
    made = trainer()
    train(made, "4 steps")
    assert (made.step, made.epoch) == (4, 1)
    assert list(made.history["valid.loss"].steps) == [4]


def test_duration_in_seconds() -> None:
    made = trainer()
    made.train(provider(), schedule=Schedule("5 s"), elapsed_s=5.0)
    assert made.step == 0


def test_finished_training_does_nothing_more() -> None:
    made, given = trainer(), provider()
    for _ in range(2):
        made.train(given, schedule=Schedule("6 steps"))
    assert made.step == 6


def test_training_is_extended_in_the_same_process() -> None:
    made, given = trainer(), provider()
    for duration in ("3 steps", "2 epochs"):
        made.train(given, schedule=Schedule(duration))
    assert list(made.history["train.loss"].steps) == list(range(1, 9))
