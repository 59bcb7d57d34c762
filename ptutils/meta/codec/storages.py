"""Storages: the bytes behind arrays and tensors, cut to what is touched.

A storage is stored once, however many arrays or tensors look at it, so that they come
back looking at one memory. Only the span from the first to the last byte that any of
them touches is kept, its start aligned down to 16 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ptutils.errors import DecodeError
from ptutils.meta.codec.encoded import Buffer

__all__ = ["Storage", "check_span", "dense_strides", "span"]

_ALIGNMENT = 16
_MOST_ELEMENTS = 2**63 - 1


class Storage:
    """One storage while it is being encoded.

    Args:
        number: Its position among the artifacts.
        key: By which it is known while it lives.
        cut: Returns the bytes between two positions.

    Attributes:
        version: How often its content had been changed, as far as torch counts that;
            None where nobody counts.
    """

    __slots__ = (
        "_cut",
        "_high",
        "_low",
        "_nodes",
        "_watched",
        "key",
        "number",
        "version",
    )

    def __init__(
        self, number: int, key: object, cut: Callable[[int, int], Buffer]
    ) -> None:
        self.number = number
        self.key = key
        self.version: int | None = None
        self._watched: Any = None
        self._cut = cut
        self._low = -1
        self._high = 0
        self._nodes: list[tuple[dict[str, Any], int, int]] = []

    def touch(
        self, node: dict[str, Any], *, low: int, high: int, start: int, unit: int
    ) -> None:
        """Note that the bytes from ``low`` to ``high`` are needed.

        Args:
            node: Gets ``at``, and later ``offset`` if that is not 0.
            low: The first byte touched.
            high: One past the last byte touched.
            start: The byte of the first element.
            unit: The bytes that ``offset`` is to count.
        """
        node["at"] = self.number
        self._low = low if self._low < 0 else min(self._low, low)
        self._high = max(self._high, high)
        self._nodes.append((node, start, unit))

    def watch(self, tensor: Any) -> None:
        """Count the changes made through a tensor and its views."""
        if self._watched is None and not tensor.is_inference():
            self._watched, self.version = tensor, tensor._version

    @property
    def has_changed(self) -> bool:
        """Whether its content was changed meanwhile, as far as that is counted."""
        return self._watched is not None and self._watched._version != self.version

    def finish(self) -> Buffer:
        """Cut the span, and tell each node its offset in it."""
        low = self._low - self._low % _ALIGNMENT
        for node, start, unit in self._nodes:
            if start != low:
                node["offset"] = (start - low) // unit
        return self._cut(low, self._high)


def dense_strides(shape: Sequence[int], unit: int = 1) -> list[int]:
    """Return the strides of a C-contiguous layout, as numpy and torch choose them."""
    strides = [unit] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * max(shape[axis + 1], 1)
    return strides


def span(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """Return the lowest and the highest position touched, relative to the first."""
    low = high = 0
    for size, stride in zip(shape, strides, strict=True):
        if stride < 0:
            low += (size - 1) * stride
        else:
            high += (size - 1) * stride
    return low, high


def check_span(
    shape: Sequence[int],
    strides: Sequence[int],
    *,
    offset: int,
    itemsize: int,
    unit: int,
    available: int,
) -> bool:
    """Check that a view stays inside its bytes; return whether it has any element.

    Args:
        shape: The sizes.
        strides: One per size, in units.
        offset: Of the first element, in units.
        itemsize: Bytes of an element.
        unit: Bytes that strides and offset count.
        available: Bytes there are; negative where there is no memory to check.

    Raises:
        DecodeError: If the view reaches outside, or has more elements than can be.
    """
    elements = 1
    for size in shape:
        elements *= size
    if len(shape) != len(strides) or elements > _MOST_ELEMENTS:
        raise DecodeError(
            "cannot read an array or tensor",
            expected="a stride for each size, fewer than 2**63 elements",
            got=f"sizes {list(shape)}, strides {list(strides)}",
        )
    if not elements or not itemsize:
        return False
    low, high = span(shape, strides)
    first, last = (offset + low) * unit, (offset + high) * unit + itemsize
    if first < 0 or last > (available if available >= 0 else _MOST_ELEMENTS):
        raise DecodeError(
            "cannot read an array or tensor",
            expected=f"a view inside the {available} bytes of its artifact",
            got=f"one from byte {first} to {last}",
        )
    return True
