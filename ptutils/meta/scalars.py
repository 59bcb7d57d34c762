"""Scalars: reading single numbers out of whatever holds them, many at a time."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeAlias

from ptutils.errors import EncodeError
from ptutils.meta.values import Value

__all__ = ["Scalar", "read_scalars"]

Scalar: TypeAlias = bool | int | float

_SCALARS = (float, int, bool)


def read_scalars(values: Sequence[Value], path: str = "") -> list[Scalar]:
    """Return ``values`` as Python numbers; each device is waited for once.

    Args:
        values: Numbers, or arrays and tensors of one element on any device.
        path: What they are, for the error.

    Raises:
        EncodeError: If a value is not one real number.

    Example:
        >>> read_scalars([1, 0.5, True])
        [1, 0.5, True]
    """
    result = list(values)
    waiting: dict[tuple[Value, Value], list[int]] = {}
    for index, value in enumerate(values):
        if type(value) in _SCALARS:
            continue
        if hasattr(value, "numel") and value.numel() == 1:
            # By type too: torch would promote, and int64 to float32 is not exact.
            waiting.setdefault((value.dtype, value.device), []).append(index)
        else:
            result[index] = _item(value, path)
    for indices in waiting.values():
        numbers = _read_tensors([values[index] for index in indices], path)
        for index, number in zip(indices, numbers, strict=True):
            result[index] = number
    return result


def _read_tensors(tensors: Sequence[Value], path: str) -> list[Scalar]:
    """Return tensors of one element, alike in type and device, as numbers."""
    if tensors[0].is_complex():
        raise _fault(tensors[0], path)
    # Whoever made a tensor has imported torch; we do not.
    torch: Any = sys.modules["torch"]
    single = [tensor.reshape(()) if tensor.ndim else tensor for tensor in tensors]
    numbers: list[Scalar] = torch.stack(single).tolist()
    return numbers


def _item(value: Value, path: str) -> Scalar:
    number = value
    if not hasattr(value, "numel") and getattr(value, "size", 0) == 1:
        number = value.item()  # of numpy, or of what behaves alike
    if type(number) not in _SCALARS:
        raise _fault(value, path)
    result: Scalar = number
    return result


def _fault(value: Value, path: str) -> EncodeError:
    return EncodeError(
        "cannot read one number from this value",
        path=path,
        expected="a number, or an array or tensor of one real element",
        got=f"{type(value).__name__}: {value!r:.80}",
        fix="reduce it first, say with .mean()",
    )
