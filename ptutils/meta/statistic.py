"""Statistics: quantities that are computed in parts, in any order, exactly.

A Statistic is a weighted monoid: parts that saw some of the values each merge into what
one would have computed from all of them, to the bit, however the values were dealt out
to batches, micro-batches, workers and ranks.
"""

from __future__ import annotations

import abc
import copy
import math
from collections.abc import Mapping
from typing import Final, Self, final

from ptutils.errors import EncodeError, StateMismatchError
from ptutils.meta.metamodule import MetaModule
from ptutils.meta.scalars import Scalar, read_scalars
from ptutils.meta.values import Document, Value

__all__ = ["Count", "Last", "Max", "Mean", "Min", "Statistic", "Sum"]

# Every finite float is m * 2**e with whole m and e, and so are their sums and products.
# Python's whole numbers are exact, so that no order of adding changes the result.
_ONE: Final = [1, 0]
_MOST_WAITING: Final = 1024


class Statistic(MetaModule):
    """A quantity over weighted values, updated in parts and merged.

    A value of weight 0 is as if it were not there. Tensors are kept detached and read
    many at a time, so that updating does not wait for their device; do not change them
    in place before.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Value, Value]] = []
        self._state = self._empty()

    def update(self, value: Value, weight: Value = 1) -> None:
        """Take in one value.

        Args:
            value: A number, or a tensor or array of one element.
            weight: How many such values it stands for; finite and not negative.
        """
        kept = value.detach() if hasattr(value, "detach") else value
        self._waiting.append((kept, weight))
        if len(self._waiting) >= _MOST_WAITING:
            self._read()

    def merge(self, other: Self) -> None:
        """Take in all that ``other`` has seen; ``other`` stays as it is.

        Raises:
            StateMismatchError: If ``other`` is another kind of Statistic.
        """
        if type(other) is not type(self):
            raise StateMismatchError(
                "cannot merge statistics of two kinds",
                expected=type(self).__name__,
                got=type(other).__name__,
            )
        self._read()
        self._combine(other.state_dict())

    @abc.abstractmethod
    def compute(self) -> Scalar:
        """Return the quantity over all values so far; waits for their devices."""

    def __call__(self) -> Scalar:
        """Return the quantity; see :meth:`compute`."""
        return self.compute()

    def reset(self) -> None:
        """Forget all values."""
        self._waiting.clear()
        self._state = self._empty()

    def state_dict(self) -> Document:
        """Return what has been seen; equal for equal values in any order."""
        self._read()
        return copy.deepcopy(self._state)

    def load_state_dict(self, state: Mapping[str, Value]) -> None:
        """Replace what has been seen.

        Raises:
            StateMismatchError: If the names do not fit this kind of Statistic.
        """
        if state.keys() != self._state.keys():
            raise StateMismatchError(
                f"cannot load a {type(self).__name__}",
                expected=", ".join(self._state),
                got=", ".join(map(str, state)),
            )
        self._waiting.clear()
        self._state = copy.deepcopy(dict(state))

    @abc.abstractmethod
    def _empty(self) -> Document:
        """Return the state before any value."""

    @abc.abstractmethod
    def _add(self, value: Scalar, weight: Scalar) -> None:
        """Take in one value of positive weight."""

    @abc.abstractmethod
    def _combine(self, theirs: Document) -> None:
        """Take in the state of another."""

    def _read(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        values = read_scalars([value for value, _ in waiting])
        weights = read_scalars([weight for _, weight in waiting])
        for value, weight in zip(values, weights, strict=True):
            if not 0 <= weight < math.inf:
                raise EncodeError(
                    "cannot weigh a value like this",
                    expected="a weight that is finite and not negative",
                    got=repr(weight),
                )
            if weight:
                self._add(value, weight)


class _Total(Statistic):
    """The exact weighted sum and the exact sum of weights."""

    def _empty(self) -> Document:
        flags = {"nan": False, "inf": False, "-inf": False}
        return {"total": [0, 0], "weight": [0, 0], **flags}

    def _add(self, value: Scalar, weight: Scalar) -> None:
        state = self._state
        share = _exact(weight)
        state["weight"] = _plus(state["weight"], share)
        if isinstance(value, int) or math.isfinite(value):
            mantissa, exponent = _exact(value)
            product = [mantissa * share[0], exponent + share[1]]
            state["total"] = _plus(state["total"], product)
        else:
            state[str(value)] = True

    def _combine(self, theirs: Document) -> None:
        for name, value in theirs.items():
            mine = self._state[name]
            both = mine or value if isinstance(mine, bool) else _plus(mine, value)
            self._state[name] = both

    def _over(self, divisor: list[int]) -> float:
        """Return the sum over ``divisor``, as IEEE 754 has it for infinite terms."""
        state = self._state
        if state["nan"] or (state["inf"] and state["-inf"]):
            return math.nan
        if state["inf"] or state["-inf"]:
            return math.inf if state["inf"] else -math.inf
        return _divided(state["total"], divisor)


@final
class Sum(_Total):
    """The sum of value times weight, rounded once; 0.0 of nothing.

    Example:
        >>> total = Sum()
        >>> for value in (1e100, 1.0, -1e100):
        ...     total.update(value)
        >>> total.compute()
        1.0
    """

    def compute(self) -> float:
        """Return the sum."""
        self._read()
        return self._over(_ONE)


@final
class Mean(_Total):
    """The weighted mean, rounded once; NaN of nothing.

    Example:
        >>> loss = Mean()
        >>> loss.update(0.5, weight=64)
        >>> loss.update(1.0, weight=32)  # the last batch is smaller
        >>> loss.compute()
        0.6666666666666666
    """

    def compute(self) -> float:
        """Return the mean."""
        self._read()
        weight = self._state["weight"]
        return self._over(weight) if weight[0] else math.nan


@final
class Count(_Total):
    """The sum of the weights, whatever the values: an int where it is whole.

    Example:
        >>> samples = Count()
        >>> samples.update(0.5, weight=64)
        >>> samples.compute()
        64
    """

    def compute(self) -> int | float:
        """Return the count."""
        self._read()
        mantissa, exponent = self._state["weight"]
        if exponent >= 0:
            return int(mantissa << exponent)
        return _divided([mantissa, exponent], _ONE)


class _Chosen(Statistic):
    """One of the values; NaN of nothing."""

    def _empty(self) -> Document:
        return {"value": None}

    def compute(self) -> Scalar:
        """Return the value."""
        self._read()
        value: Scalar | None = self._state["value"]
        return math.nan if value is None else value

    def _combine(self, theirs: Document) -> None:
        if theirs["value"] is not None:
            self._add(theirs["value"], 1)


@final
class Min(_Chosen):
    """The least value, passing over NaN.

    Example:
        >>> least = Min()
        >>> for value in (3, float("nan"), 2):
        ...     least.update(value)
        >>> least.compute()
        2
    """

    def _add(self, value: Scalar, weight: Scalar) -> None:
        best = self._state["value"]
        if _is_number(value) and (best is None or _order(value) < _order(best)):
            self._state["value"] = value


@final
class Max(_Chosen):
    """The greatest value, passing over NaN.

    Example:
        >>> most = Max()
        >>> for value in (3, float("nan"), 2):
        ...     most.update(value)
        >>> most.compute()
        3
    """

    def _add(self, value: Scalar, weight: Scalar) -> None:
        best = self._state["value"]
        if _is_number(value) and (best is None or _order(value) > _order(best)):
            self._state["value"] = value


@final
class Last(_Chosen):
    """The value that came last; the merged part counts as later, so order matters.

    Example:
        >>> rate = Last()
        >>> rate.update(0.1)
        >>> rate.update(0.01)
        >>> rate.compute()
        0.01
    """

    def _add(self, value: Scalar, weight: Scalar) -> None:
        self._state["value"] = value


def _is_number(value: Scalar) -> bool:
    # An int of over 308 digits is too large for isnan.
    return isinstance(value, int) or not math.isnan(value)


def _exact(value: Scalar) -> list[int]:
    """Return (m, e) with ``value == m * 2**e``."""
    numerator, denominator = value.as_integer_ratio()
    return [numerator, 1 - denominator.bit_length()]


def _plus(one: list[int], other: list[int]) -> list[int]:
    """Add two numbers of the form (m, e); the m of the result is odd or 0."""
    exponent = min(one[1], other[1])
    mantissa = (one[0] << one[1] - exponent) + (other[0] << other[1] - exponent)
    if not mantissa:
        return [0, 0]
    twos = (mantissa & -mantissa).bit_length() - 1
    return [mantissa >> twos, exponent + twos]


def _divided(one: list[int], other: list[int]) -> float:
    """Return the quotient, rounded once: Python divides whole numbers correctly."""
    shift = one[1] - other[1]
    try:
        return (one[0] << max(shift, 0)) / (other[0] << max(-shift, 0))
    except OverflowError:
        return math.inf if one[0] > 0 else -math.inf


def _order(value: Scalar) -> tuple[Scalar, str]:
    """Order equal numbers too (-0.0 and 0.0, 1 and 1.0), lest the first one win."""
    return value, repr(value)
