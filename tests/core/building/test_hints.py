from __future__ import annotations

import collections.abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Optional, Protocol, Union

import numpy as np
import pytest
import torch

from ptutils.core.building.hints import classes_in, coerce, item_hint, kinds_in


class Quiet(Protocol):
    """A protocol that cannot be asked about at run time."""

    def provide(self) -> int: ...


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (int, [int]),
        (int | None, [int]),
        (Union[int, Optional[str]], [int, str]),  # noqa: UP007, UP045
        (list[int], [list]),
        (Any, []),
        (int | Any, []),
        (Callable[..., int], []),
        (collections.abc.Callable, []),
        (Literal["a"], []),
    ],
)
def test_classes_of_a_hint(hint: Any, expected: list[type]) -> None:
    assert classes_in(hint) == expected


@pytest.mark.parametrize(
    ("hint", "container", "expected"),
    [
        (list[int], list, int),
        (list[int] | None, list, int),
        (tuple[str, ...], tuple, str),
        (tuple[int, int], list, int),
        (tuple[int, str], list, Any),
        (Sequence[int], list, int),
        (dict[str, int], dict, int),
        (Mapping[str, int], dict, int),
        (dict[str, int], list, Any),
        (list, list, Any),
        (Any, dict, Any),
    ],
)
def test_hint_of_the_items(hint: Any, container: type, expected: Any) -> None:
    assert item_hint(hint, container) == expected


def test_hint_is_described_for_a_person() -> None:
    assert kinds_in(int) == "int"
    assert kinds_in(int | None) == "int | None"
    assert kinds_in(tuple[int, ...]) == "tuple[int, ...]"


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (3, int, 3),
        (3, float, 3),
        ([1, 2], tuple[int, int], (1, 2)),
        ([[1, 2], [3, 4]], tuple[tuple[int, int], ...], ((1, 2), (3, 4))),
        ([1, 2], list[int], [1, 2]),
        ((1, 2), list[int], (1, 2)),
        ([0.9, 0.99], tuple[float | torch.Tensor, float | torch.Tensor], (0.9, 0.99)),
        (None, int | None, None),
    ],
)
def test_value_that_fits_is_taken(value: Any, hint: Any, expected: Any) -> None:
    found = coerce(value, hint)
    assert found == expected
    assert type(found) is type(expected)


def test_number_of_numpy_is_let_pass_as_it_is() -> None:
    value = np.float32(0.5)
    assert coerce(value, float) is value


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("64", int),
        (64.5, int),
        (True, int),
        (1, bool),
        (np.float32(0.5), int),
        (np.zeros(2), float),
        ([1, 2, 3], tuple[int, int]),
        (3, str),
        ({"a": 1}, torch.nn.Module),
        (None, int),
    ],
)
def test_value_that_does_not_fit_is_refused(value: Any, hint: Any) -> None:
    with pytest.raises(ValueError, match=r"^give "):
        coerce(value, hint)


@pytest.mark.parametrize(
    "hint",
    [Quiet, Literal[[1]], list["NoSuchName"]],  # noqa: F821
    ids=["protocol", "unhashable", "text"],
)
def test_hint_that_cannot_be_checked_takes_anything(hint: Any) -> None:
    assert coerce(3, hint) == 3
