"""EarlyStopping waits, stops, and remembers how long it waited."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ptutils.callbacks.early_stopping import EarlyStopping
from ptutils.core.building.builder import build
from ptutils.errors import ConfigError, StopTraining
from tests.core.training import train, trainer


def stops_at(stopping: EarlyStopping, values: list[float]) -> int | None:
    """Return the index of the value at which it stops."""
    for index, value in enumerate(values):
        try:
            stopping.after_validate({stopping.metric: value})
        except StopTraining:
            return index
    return None


def test_it_stops_after_so_many_validations_without_improvement() -> None:
    assert stops_at(EarlyStopping(patience=2), [3.0, 2.0, 2.0, 2.0, 2.0]) == 3


def test_improvement_begins_the_waiting_anew() -> None:
    assert stops_at(EarlyStopping(patience=2), [3.0, 4.0, 2.0, 4.0, 1.0, 4.0]) is None


def test_more_may_be_better() -> None:
    stopping = EarlyStopping("valid.accuracy", patience=1, mode="max")
    assert stops_at(stopping, [0.1, 0.5, 0.6, 0.6]) == 3


def test_improvement_below_the_threshold_does_not_count() -> None:
    stopping = EarlyStopping(patience=1, threshold=0.1)
    assert stops_at(stopping, [1.0, 0.8, 0.75]) == 2


@pytest.mark.parametrize("mode", ["min", "max"])
def test_what_is_not_a_number_is_no_improvement(mode: Any) -> None:
    stopping = EarlyStopping(patience=2, mode=mode)
    assert stops_at(stopping, [float("nan"), float("nan")]) == 1


def test_resumed_waiting_goes_on() -> None:
    first, second = EarlyStopping(patience=2), EarlyStopping(patience=2)
    assert stops_at(first, [1.0, 2.0]) is None
    second.load_state_dict(first.state_dict())
    assert stops_at(second, [1.5]) == 0


def test_training_ends_with_the_reason() -> None:
    made = trainer(
        EarlyStopping("valid.error", patience=2),
        optimizer=build(torch.optim.SGD, lr=0.0),
    )
    assert train(made, "9 epochs") == "valid.error has not improved for 2 validations"
    assert made.epoch == 3


def test_misspelt_metric_is_refused_with_the_nearest() -> None:
    made = trainer(EarlyStopping("valid.eror"))
    with pytest.raises(ConfigError, match=r"cannot watch 'valid\.eror'") as caught:
        train(made)
    assert "did you mean 'valid.error'?" in str(caught.value)


def test_unknown_metric_is_refused() -> None:
    with pytest.raises(ConfigError, match="name a validated metric"):
        EarlyStopping("x").after_validate({"valid.loss": 1.0})


def test_measurement_of_another_split_neither_stops_nor_counts() -> None:
    stopping = EarlyStopping(patience=1)
    stopping.after_validate({"test.loss": 1.0})
    assert stopping.state.waited == 0


def test_no_patience_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot stop early without patience"):
        EarlyStopping(patience=0)


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot tell what is better"):
        EarlyStopping(mode="least")  # type: ignore[arg-type]
