from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

import ptutils
from ptutils.core.building.signature import (
    arranged,
    hints_of,
    holds_positions,
    signature_of,
)


class OnlyNew:
    def __new__(cls, x: int) -> OnlyNew:
        return super().__new__(cls)


class Static:
    @staticmethod
    def __new__(cls, x: int) -> Static:
        return object.__new__(cls)


class Empty:
    pass


class OurEmpty(ptutils.Module):
    pass


class Unclear:
    def __init__(self, x: NoSuchClass) -> None:  # noqa: F821
        pass


def names(target: Any) -> list[str]:
    return list(signature_of(target).parameters)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (torch.nn.Linear, ["in_features", "out_features", "bias", "device", "dtype"]),
        (OnlyNew, ["x"]),
        (Static, ["x"]),
        (Empty, []),
        (OurEmpty, []),
        (names, ["target"]),
        (dict.fromkeys, ["iterable", "value"]),
    ],
)
def test_parameters_are_those_of_the_constructor(target: Any, expected: Any) -> None:
    assert names(target) == expected


def test_constructor_that_does_not_tell_takes_anything() -> None:
    assert names(max) == ["args", "kwargs"]


def test_hints_are_evaluated() -> None:
    assert hints_of(OnlyNew)["x"] is int


def test_hints_that_cannot_be_evaluated_are_left_out() -> None:
    assert hints_of(Unclear) == {}


def call(
    a: int, b: int, /, c: int = 0, *rest: int, d: int = 0, **more: int
) -> None: ...


def plain(a: int, b: int = 0) -> None: ...


def own(args: dict[str, int]) -> None: ...


@pytest.mark.parametrize(
    ("target", "settings", "positions", "named"),
    [
        (plain, {"a": 1, "b": 2}, [], {"a": 1, "b": 2}),
        (plain, {"args": [1], "b": 2}, [1], {"b": 2}),
        (plain, {"args": (1, 2)}, [1, 2], {}),
        (own, {"args": {"x": 1}}, [], {"args": {"x": 1}}),
        (call, {"a": 1, "b": 2}, [1, 2], {}),
        (call, {"a": 1, "b": 2, "c": 3}, [1, 2], {"c": 3}),
        (call, {"args": [1], "b": 2, "d": 4}, [1, 2], {"d": 4}),
        (call, {"a": 1, "b": 2, "c": 3, "args": [4, 5]}, [1, 2, 3, 4, 5], {}),
        (call, {"b": 2}, [], {"b": 2}),
        (call, {"args": []}, [], {}),
    ],
)
def test_settings_are_split_into_positions_and_names(
    target: Any, settings: Any, positions: Any, named: Any
) -> None:
    assert arranged(inspect.signature(target), settings) == (positions, named)


def test_parameter_called_args_is_no_list_of_positions() -> None:
    assert not holds_positions(inspect.signature(own), "args")
    assert holds_positions(inspect.signature(call), "args")
