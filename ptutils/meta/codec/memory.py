"""Bytes in memory, looked at without a copy. Loaded with numpy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ptutils.meta.codec.decode import Decoder
from ptutils.meta.values import Value

__all__ = ["described", "description", "memory", "read_described", "read_integers"]

_DESCRIPTION = re.compile(
    r"(.*)\[((?:\d{1,19}(?:, \d{1,19})*)?)\]", re.DOTALL | re.ASCII
)


class _Memory:
    """What numpy needs to know of foreign memory; keeps its owner alive."""

    __slots__ = ("__array_interface__", "_owner")

    def __init__(self, address: int, size: int, owner: object) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (address, True),
            "shape": (size,),
            "typestr": "|u1",
        }
        self._owner = owner


def memory(address: int, size: int, owner: object) -> memoryview:
    """Return a read-only view of bytes in memory, which keeps their owner alive."""
    view: Any = np.asarray(_Memory(address, size, owner))
    return memoryview(view)


def described(dtype: str, shape: Sequence[int]) -> str:
    """Return how an array or tensor appears in the document: ``float32[3, 4]``."""
    return f"{dtype}{list(shape)}"


def description(text: str) -> tuple[str, tuple[int, ...]] | None:
    """Return the dtype and the sizes that :func:`described` wrote, None if it did not.

    Example:
        >>> description("float32[3, 4]")
        ('float32', (3, 4))
    """
    match = _DESCRIPTION.fullmatch(text)
    if match is None:
        return None
    dtype, sizes = match.groups()
    return dtype, tuple(map(int, sizes.split(", "))) if sizes else ()


def read_described(decoder: Decoder, plain: Value) -> tuple[str, tuple[int, ...]]:
    """Return the dtype and the sizes that :func:`described` wrote."""
    found = description(decoder.expect(plain, str))
    return found or decoder.refuse("a dtype and sizes, such as float32[3, 4]", plain)


def read_integers(decoder: Decoder, value: Value, *, lowest: int | None) -> list[int]:
    """Return a list of ints of at most 64 bits, none below ``lowest``."""
    if type(value) is not list or any(
        type(item) is not int
        or not -(2**63) <= item < 2**63
        or (lowest is not None and item < lowest)
        for item in value
    ):
        decoder.refuse("a list of ints", value)
    result: list[Any] = value
    return result
