"""A Callback is a Module that reacts."""

from __future__ import annotations

from typing import Any

from ptutils.core.building.builder import build
from ptutils.core.callback import Callback
from ptutils.meta.registry import register
from tests.core.training import train, trainer


@register
class CountSteps(Callback):
    """Counts from where its state is."""

    def __init__(self, start: int = 0) -> None:
        self.state.count = start

    def after_update(self) -> None:
        self.state.count += 1


def test_calling_a_callback_reacts_to_a_trigger() -> None:
    counter = CountSteps(3)
    counter("after_update")
    assert counter.state.count == 4


def test_state_of_a_callback_belongs_to_the_trainers() -> None:
    made = trainer(CountSteps())
    train(made, "3 steps")

    resumed: Any = trainer(CountSteps())
    resumed.load_state_dict(made.state_dict())
    assert resumed.callbacks["CountSteps"].state.count == 3


def test_callback_is_built_by_config() -> None:
    counter = build({"class": "CountSteps", "start": 5})
    assert counter.config == {"class": "CountSteps", "start": 5}


def test_callback_is_registered_by_name_in_any_case() -> None:
    made = trainer()
    made.register_callback("countsteps", start=2)
    train(made, "3 steps")
    assert made.callbacks["count_steps"].state.count == 5
