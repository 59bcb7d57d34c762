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
        path: What the values are, for the error.

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
        if hasattr(value, "detach"):
            # By type too: torch would promote, and int64 to float32 is not exact.
            waiting.setdefault((value.device, value.dtype), []).append(index)
        else:
            result[index] = _checked(value, path)
    for indices in waiting.values():
        numbers = _read_tensors([values[index] for index in indices], path)
        for index, number in zip(indices, numbers, strict=True):
            result[index] = number
    return result


def _read_tensors(tensors: Sequence[Value], path: str) -> Sequence[Scalar]:
    # Whoever made a tensor has imported torch; we do not.
    torch: Any = sys.modules["torch"]
    for tensor in tensors:
        if tensor.numel() != 1 or tensor.is_complex():
            raise _fault(f"a {tensor.dtype} of shape {tuple(tensor.shape)}", path)
    flat = [tensor.detach().reshape(()) for tensor in tensors]
    numbers: list[Scalar] = torch.stack(flat).tolist()
    return numbers


def _checked(value: Value, path: str) -> Scalar:
    number = value
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        number = value.item()
    if type(number) not in _SCALARS:
        raise _fault(f"{type(value).__name__}: {value!r:.60}", path)
    return number  # type: ignore[no-any-return]  # checked just above


def _fault(got: str, path: str) -> EncodeError:
    return EncodeError(
        "cannot read one number from this value",
        path=path,
        expected="a number, or an array or tensor of one real element",
        got=got,
        fix="reduce it first, say with .mean()",
    )
