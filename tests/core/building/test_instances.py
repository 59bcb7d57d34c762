from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np
import pytest

import ptutils
from ptutils.core.building.hints import is_instance
from ptutils.errors import ConfigError


class Speaks(Protocol):
    word: str


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1, int),
        (np.int64(1), int),
        (1, float),
        (1.5, float | None),
        (None, float | None),
        (True, bool),
        (True, object),
        ("a", str | None),
        ([1], list[int]),
        ((1,), list[int]),
        ((), Any),
        (None, Any),
        (None, Callable[..., Any]),
        (3, Literal[1, 2]),
        (3, Literal["a"] | str),
        (3, Speaks),
    ],
)
def test_value_of_a_class_of_the_hint_fits(value: Any, hint: Any) -> None:
    assert is_instance(value, hint)


@pytest.mark.parametrize(
    ("value", "hint"),
    [(True, int), ("1", int), (1.5, int), (None, int), (3, str | None)],
)
def test_value_of_another_class_does_not_fit(value: Any, hint: Any) -> None:
    assert not is_instance(value, hint)


def test_every_wrong_argument_of_a_python_call_is_named() -> None:
    with pytest.raises(ConfigError, match="cannot build Schedule: 2 faults") as refused:
        ptutils.Schedule([], validate=2.5)  # type: ignore[arg-type]
    assert [fault.path for fault in refused.value.faults] == ["duration", "validate"]


def test_class_in_place_of_an_object_is_refused_with_what_to_write() -> None:
    with pytest.raises(ConfigError, match="cannot build Trainer") as refused:
        ptutils.Trainer(ptutils.Model)  # type: ignore[arg-type]
    assert refused.value.path == "model"
    assert refused.value.fix == "pass an object, not its class: Model(...)"
