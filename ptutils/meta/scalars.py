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


def read_scalars(values: Sequence[Value], paths: Sequence[str] = ()) -> list[Scalar]:
    """Return ``values`` as Python numbers; each device is waited for once.

    Args:
        values: Numbers, or arrays and tensors of one element on any device.
        paths: What each value is, for the error.

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
        if _is_tensor(value):
            # By type too: torch would promote, and int64 to float32 is not exact.
            waiting.setdefault((value.device, value.dtype), []).append(index)
        else:
            result[index] = _item(value, paths[index] if paths else "")
    # Whoever made a tensor has imported torch; we do not.
    torch: Any = sys.modules.get("torch")
    for indices in waiting.values():
        tensors = [values[index].detach().reshape(()) for index in indices]
        numbers = torch.stack(tensors).tolist()
        for index, number in zip(indices, numbers, strict=True):
            result[index] = number
    return result


def _is_tensor(value: Value) -> bool:
    """Say whether ``value`` is a tensor that can wait for the others."""
    return hasattr(value, "detach") and value.numel() == 1 and not value.is_complex()


def _item(value: Value, path: str) -> Scalar:
    number = value
    if not hasattr(value, "detach") and getattr(value, "size", 0) == 1:
        number = value.item()  # of numpy, or of what behaves alike
    if type(number) in _SCALARS:
        result: Scalar = number
        return result
    raise EncodeError(
        "cannot read one number from this value",
        path=path,
        expected="a number, or an array or tensor of one real element",
        got=f"{type(value).__name__}: {value!r:.80}",
        fix="reduce it first, say with .mean()",
    )
