"""Distance: how far two arrays or tensors lie apart, found in bounded memory."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ptutils.meta.values import Value

__all__ = ["Distance", "distance", "is_array"]

_BLOCK: Final = 1 << 20
"""So many elements are looked at at a time."""

_COMPUTABLE: Final = "biufc"
"""The kinds of numpy's dtypes that float64, or a pair of it, can stand for."""


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far two arrays of one shape lie apart, computed in float64.

    A NaN in both, or an infinity of one sign, is no difference.

    Attributes:
        num_changed: Elements of other bits; of other values where the dtypes differ.
        num_elements: Elements there are.
        num_nan: Elements that are NaN on one side alone: no number below counts them.
        max_abs: The greatest absolute difference of two elements.
        norm: The L2 norm of the difference.
        relative: The same by the L2 norm of ours; infinite where only that is 0.
        cosine: Of the angle between the two, over the elements that are finite in both;
            NaN where one of them has no direction.
    """

    num_changed: int
    num_elements: int
    num_nan: int
    max_abs: float
    norm: float
    relative: float
    cosine: float


def is_array(value: Value) -> bool:
    """Tell whether a value is an array, tensor or scalar of dense memory."""
    if hasattr(value, "untyped_storage"):
        return str(value.layout) == "torch.strided" and value.device.type != "meta"
    return isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject


def distance(ours: Value, theirs: Value) -> tuple[int, Distance | None]:
    """Compare two arrays or tensors of one shape, block by block.

    Args:
        ours: For which :func:`is_array` is true.
        theirs: Likewise.

    Returns:
        How many elements changed, and the distance: None where the dtypes are not
        those of numbers, or of packed ones.

    Example:
        >>> distance(np.zeros(3), np.array([0.0, 3.0, -4.0]))[1].norm
        5.0
    """
    ours, theirs = (  # Scalars of numpy are not all indexed as arrays are.
        np.asarray(side) if isinstance(side, np.generic) else side
        for side in (ours, theirs)
    )
    total = _Total(is_bitwise=ours.dtype == theirs.dtype)
    for index in _blocks(tuple(ours.shape)):
        total.add(ours[(*index, ...)], theirs[(*index, ...)])
    return total.num_changed, total.distance()


def _blocks(shape: Sequence[int]) -> Iterator[tuple[int | slice, ...]]:
    """Yield the indices that cut an array into blocks; any strides are welcome."""
    if math.prod(shape) <= _BLOCK:
        yield ()
        return
    first, *rest = shape
    row = math.prod(rest)
    if row > _BLOCK:
        for position in range(first):
            for index in _blocks(rest):
                yield (position, *index)
        return
    for start in range(0, first, _BLOCK // row):
        yield (slice(start, start + _BLOCK // row),)


class _Total:
    """Sums over the blocks seen so far."""

    def __init__(self, *, is_bitwise: bool) -> None:
        self.num_changed = 0
        self._is_bitwise = is_bitwise
        self._is_computable = True
        self._num_elements = 0
        self._num_nan = 0
        self._max_abs = 0.0
        self._squares = [0.0, 0.0, 0.0]
        self._product = 0.0

    def add(self, ours: Value, theirs: Value) -> None:
        numbers = _numbers(ours), _numbers(theirs)
        if self._is_bitwise:
            changed = _any(_raw(ours) != _raw(theirs))
            self.num_changed += int(np.count_nonzero(changed))
        if numbers[0] is None or numbers[1] is None:
            self._is_computable = False
            self.num_changed += 0 if self._is_bitwise else len(_raw(ours))
        else:
            with np.errstate(all="ignore"):
                self._add(numbers[0], numbers[1])

    def _add(self, ours: _Pairs, theirs: _Pairs) -> None:
        missing = _any(np.isnan(ours)), _any(np.isnan(theirs))
        same = (missing[0] & missing[1]) | ~_any(ours != theirs)
        unlike = missing[0] ^ missing[1]
        if not self._is_bitwise:
            self.num_changed += int(np.count_nonzero(~same))
        self._num_elements += len(ours)
        self._num_nan += int(np.count_nonzero(unlike))
        # What both lack, or what would be the difference of two infinities, is 0.
        delta = np.where((same | unlike)[:, None], 0.0, theirs - ours)
        lengths = np.abs(delta[:, 0]) if delta.shape[1] == 1 else np.hypot(*delta.T)
        self._max_abs = max(self._max_abs, float(lengths.max(initial=0.0)))
        finite = np.isfinite(ours) & np.isfinite(theirs)
        left, right = (np.where(finite, side, 0.0) for side in (ours, theirs))
        for place, part in enumerate((delta, left, right)):
            self._squares[place] += float(np.vdot(part, part))
        self._product += float(np.vdot(left, right))

    def distance(self) -> Distance | None:
        if not self._is_computable:
            return None
        norm, left, right = map(math.sqrt, self._squares)
        scale = left * right
        return Distance(
            num_changed=self.num_changed,
            num_elements=self._num_elements,
            num_nan=self._num_nan,
            max_abs=self._max_abs,
            norm=norm,
            relative=norm / left if left else (math.inf if norm else 0.0),
            cosine=max(-1.0, min(1.0, self._product / scale)) if scale else math.nan,
        )


_Pairs = np.ndarray[tuple[int, int], np.dtype[np.float64]]
"""Elements in rows: one column, or two of a complex dtype."""


def _numbers(block: Value) -> _Pairs | None:
    """Return a block in float64; None where there is no such thing."""
    if not hasattr(block, "untyped_storage"):
        flat = np.asarray(block).reshape(-1)
        if flat.dtype.kind not in _COMPUTABLE:
            return None
        parts = [flat.real, flat.imag] if flat.dtype.kind == "c" else [flat]
        return np.stack([part.astype(np.float64) for part in parts], axis=1)
    tensor: Any = block.detach().reshape(-1)
    sides = [tensor.real, tensor.imag] if tensor.is_complex() else [tensor]
    try:
        floats = [side.double().cpu().resolve_neg().numpy() for side in sides]
    except NotImplementedError:  # Several numbers share one byte of it.
        return None
    return np.stack(floats, axis=1)


def _any(rows: np.ndarray[Any, np.dtype[np.bool_]]) -> Any:
    """Return which rows hold a true element; most have one, where numpy is slow."""
    return rows[:, 0] if rows.shape[1] == 1 else rows.any(axis=1)


def _raw(block: Value) -> Any:
    """Return the bits of each element of a block in a row of its own."""
    if hasattr(block, "untyped_storage"):
        torch: Any = sys.modules["torch"]  # Whoever made a tensor has imported it.
        flat = block.detach().resolve_conj().resolve_neg().reshape(-1)
        # Strides of its own: those of a single element may be anything.
        if flat.element_size() == 1:  # torch copies not all dtypes that it has.
            flat = flat.view(torch.uint8)
        flat = flat.clone(memory_format=torch.contiguous_format)
        rows: Any = flat.view(torch.uint8).cpu().numpy()
        return _wide(rows.reshape(flat.numel(), flat.element_size()))
    whole = np.asarray(block)
    rows = np.frombuffer(whole.tobytes(), dtype=np.uint8)
    return _wide(rows.reshape(whole.size, whole.dtype.itemsize))


def _wide(rows: Any) -> Any:
    """Return rows of bytes as rows of one integer, where there is one of that size."""
    return rows.view(f"u{rows.shape[1]}") if rows.shape[1] in (2, 4, 8) else rows
