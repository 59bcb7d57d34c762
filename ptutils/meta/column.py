"""Columns: the points of one metric by step and epoch, packed where they can be."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, overload

from ptutils.errors import ConfigError, EncodeError
from ptutils.meta.scalars import Scalar, read_scalars
from ptutils.meta.values import Document

__all__ = ["Chunk", "Column", "Point", "Series"]


_Values: TypeAlias = "array[float] | array[int] | list[Scalar]"


class Point(NamedTuple):
    """One value of a metric, with the step and epoch at which it was recorded."""

    step: int
    epoch: int
    value: Scalar


@dataclass(frozen=True, eq=False)
class Column(Sequence[Point]):
    """Points of one metric in the order of recording; a copy, which stays as it is.

    Attributes:
        steps: The step of each point.
        epochs: The epoch of each point.
        values: The numbers: an ``array`` where all are floats or all are 64-bit ints,
            otherwise a list.

    Two columns are equal if they hold the same points to the bit and by type.

    Example:
        >>> column = Column([1, 2, 3], [1, 1, 1], [0.5, 0.25, 0.75])
        >>> column.last, column.best("min").step, list(column[:2].values)
        (Point(step=3, epoch=1, value=0.75), 2, [0.5, 0.25])
    """

    steps: Sequence[int]
    epochs: Sequence[int]
    values: Sequence[Scalar]

    @property
    def first(self) -> Point:
        """The point that was recorded first."""
        return self[0]

    @property
    def last(self) -> Point:
        """The point that was recorded last."""
        return self[-1]

    def best(self, mode: str) -> Point:
        """Return the first point of the least ("min") or greatest ("max") value.

        NaN is passed over unless there is nothing else.

        Raises:
            ConfigError: If ``mode`` is neither.
        """
        return Series(self).best(mode)

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def __getitem__(self, index: int) -> Point: ...
    @overload
    def __getitem__(self, index: slice) -> Column: ...
    def __getitem__(self, index: int | slice) -> Point | Column:
        if isinstance(index, slice):
            return Column(self.steps[index], self.epochs[index], self.values[index])
        return Point(self.steps[index], self.epochs[index], self.values[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Column) and _exact(self) == _exact(other)

    __hash__ = None  # type: ignore[assignment]  # it may hold lists


Chunk: TypeAlias = Column
"""A part of a column, as it goes to the database and comes back."""


class Series:
    """The growing points of one metric, with what is first, last, least and greatest.

    Args:
        column: The points to begin with; at least one.
    """

    def __init__(self, column: Column) -> None:
        self._steps, self._epochs, self._values = _packed(column)
        self._min = self._max = self.first
        self._num_compared = 0
        self.taken = 0

    def extend(self, column: Column) -> None:
        """Append all points.

        Raises:
            EncodeError: If the steps, epochs and values are of different lengths, steps
                or epochs are not 64-bit ints, or values are not numbers; nothing is
                appended then.
        """
        steps, epochs, values = _packed(column)
        if not steps:
            return
        self._steps.extend(steps)
        self._epochs.extend(epochs)
        self._append_values(values)

    def __len__(self) -> int:
        return len(self._steps)

    def column(self, start: int = 0) -> Column:
        """Return a copy of the points from position ``start`` on."""
        return Column(self._steps[start:], self._epochs[start:], self._values[start:])

    @property
    def first(self) -> Point:
        """The point that was appended first."""
        return Point(self._steps[0], self._epochs[0], self._values[0])

    @property
    def last(self) -> Point:
        """The point that was appended last."""
        return Point(self._steps[-1], self._epochs[-1], self._values[-1])

    def best(self, mode: str) -> Point:
        """Return the first of the least or greatest points; see :class:`Column`."""
        if mode not in ("min", "max"):
            raise ConfigError(
                "cannot tell the best value", expected="'min' or 'max'", got=repr(mode)
            )
        self._compare()
        return self._min if mode == "min" else self._max

    def summary(self) -> Document:
        """Return value and step of the first, last, least and greatest point."""
        self._compare()
        points = {
            "first": self.first,
            "last": self.last,
            "min": self._min,
            "max": self._max,
        }
        values = {name: point.value for name, point in points.items()}
        return values | {f"{name}_step": point.step for name, point in points.items()}

    def _append_values(self, new: _Values) -> None:
        old = self._values
        if isinstance(old, list):
            old.extend(new)
        elif isinstance(new, array) and old.typecode == new.typecode:
            old.extend(new)  # type: ignore[arg-type]  # of one type code
        else:
            self._values = [*old, *new]

    def _compare(self) -> None:
        """Look at the points that came since the last time: who only reads pays not."""
        column = self.column(self._num_compared)
        self._num_compared = len(self)
        numbers = _without_nan(column.values)
        if not numbers:
            return
        least, greatest = min(numbers), max(numbers)
        if _is_nan(self._min.value) or least < self._min.value:
            self._min = column[column.values.index(least)]
        if _is_nan(self._max.value) or greatest > self._max.value:
            self._max = column[column.values.index(greatest)]


def _packed(column: Column) -> tuple[array[int], array[int], _Values]:
    """Return steps, epochs and values in containers of their own."""
    try:
        steps, epochs = array("q", column.steps), array("q", column.epochs)
    except (TypeError, OverflowError) as error:
        raise EncodeError(
            "cannot add points to a metric",
            expected="steps and epochs that are 64-bit ints",
            got=str(error),
        ) from error
    values = _packed_values(column.values)
    if not len(steps) == len(epochs) == len(values):
        raise EncodeError(
            "cannot add points to a metric",
            expected="as many steps and epochs as values",
            got=f"{len(steps)}, {len(epochs)} and {len(values)}",
        )
    return steps, epochs, values


def _packed_values(values: Sequence[Scalar]) -> _Values:
    if isinstance(values, array) and values.typecode in "dq":
        return values[:]
    numbers = read_scalars(values)
    kinds = {type(number) for number in numbers}
    if kinds == {float}:
        return array("d", numbers)
    if kinds == {int} and min(numbers) >= -(2**63) and max(numbers) < 2**63:
        return array("q", numbers)
    return numbers


def _without_nan(values: Sequence[Scalar]) -> Sequence[Scalar]:
    # One NaN makes the sum NaN, which is quicker to find out than to ask each.
    if isinstance(values, array) and not math.isnan(sum(values)):
        return values
    return [value for value in values if not _is_nan(value)]


def _exact(column: Column) -> tuple[object, ...]:
    # The text tells -0.0 from 0.0, 1 from 1.0 and True, and equates NaN with itself.
    return list(column.steps), list(column.epochs), [*map(repr, column.values)]


def _is_nan(value: Scalar) -> bool:
    return isinstance(value, float) and math.isnan(value)
