"""The equality that a round trip promises: values, types, sharing, bits."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import torch

from ptutils.testing.values import Box

__all__ = ["same"]


def same(left: Any, right: Any) -> bool:
    """Return whether two values are equal, of the same types, and share alike."""
    return _Comparison().same(left, right)


class _Comparison:
    def __init__(self) -> None:
        self.partner: dict[int, int] = {}
        self.partner_back: dict[int, int] = {}

    def same(self, left: Any, right: Any) -> bool:
        if type(left) is not type(right):
            return False
        if isinstance(left, SHARED):
            known = id(left) in self.partner or id(right) in self.partner_back
            if known:
                return self.partner.get(id(left)) == id(
                    right
                ) and self.partner_back.get(id(right)) == id(left)
            self.partner[id(left)] = id(right)
            self.partner_back[id(right)] = id(left)
        return self.same_content(left, right)

    def same_content(self, left: Any, right: Any) -> bool:
        if isinstance(left, torch.Tensor):
            return same_tensor(left, right)
        if isinstance(left, np.ndarray):
            return same_array(left, right)
        if isinstance(left, np.generic):
            return bool(left.dtype == right.dtype) and left.tobytes() == right.tobytes()
        if isinstance(left, dict):
            return self.same_dict(left, right)
        if isinstance(left, (list, tuple, collections.deque)):
            bounds = getattr(left, "maxlen", 0) == getattr(right, "maxlen", 0)
            pairs = zip(left, right, strict=False)
            return (
                bounds
                and len(left) == len(right)
                and all(self.same(*pair) for pair in pairs)
            )
        if isinstance(left, (set, frozenset)):
            return same_members(left, right)
        if dataclasses.is_dataclass(left):
            names = [field.name for field in dataclasses.fields(left)]
            return all(self.same(getattr(left, n), getattr(right, n)) for n in names)
        return same_scalar(left, right)

    def same_dict(self, left: Any, right: Any) -> bool:
        factories = [getattr(side, "default_factory", None) for side in (left, right)]
        return (
            factories[0] is factories[1]
            and len(left) == len(right)
            and all(
                same(a, b) and self.same(left[a], right[b])
                for a, b in zip(dict.keys(left), dict.keys(right), strict=True)
            )
            and (
                type(left) is not collections.OrderedDict
                or self.same_dict(left.__dict__, right.__dict__)
            )
        )


SHARED = (
    list, dict, set, collections.deque, bytearray, torch.Tensor, np.ndarray, Box
)  # fmt: skip


def same_members(left: Any, right: Any) -> bool:
    texts = [sorted(f"{type(m)}{m!r}" for m in side) for side in (left, right)]
    return texts[0] == texts[1]


def same_scalar(left: Any, right: Any) -> bool:
    if isinstance(left, float):
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, complex):
        return same_scalar(left.real, right.real) and same_scalar(left.imag, right.imag)
    if isinstance(left, (dt.datetime, dt.time)):
        parts = [
            (v.replace(tzinfo=None), v.fold, repr(v.tzinfo)) for v in (left, right)
        ]
        return parts[0] == parts[1]
    if isinstance(left, Decimal):
        return bool(left.as_tuple() == right.as_tuple())
    if isinstance(left, torch.Generator):
        return torch.equal(left.get_state(), right.get_state())
    return bool(left == right)


def same_tensor(left: torch.Tensor, right: torch.Tensor) -> bool:
    told = [
        (t.dtype, t.shape, t.layout, t.device, t.requires_grad) for t in (left, right)
    ]
    if told[0] != told[1]:
        return False
    if left.layout is not torch.strided:
        return same_tensor(left.detach().to_dense(), right.detach().to_dense())
    marks = [(t.stride(), t.is_conj(), t.is_neg()) for t in (left, right)]
    if marks[0] != marks[1] or left.device.type == "meta":
        return marks[0] == marks[1]
    return raw(left) == raw(right)


def raw(tensor: torch.Tensor) -> bytes:
    """Return the bytes of a tensor's elements in order, conj and neg bits aside."""
    plain = torch.empty(0, dtype=tensor.dtype).set_(
        tensor.detach().untyped_storage(),
        tensor.storage_offset(),
        tensor.shape,
        tensor.stride(),
    )
    if not plain.numel():
        return b""
    size = plain.element_size()
    view = torch.empty(0, dtype=torch.uint8).set_(
        plain.untyped_storage(),
        plain.storage_offset() * size,
        (*plain.shape, size),
        (*(stride * size for stride in plain.stride()), 1),
    )
    return view.contiguous().numpy().tobytes()


def same_array(left: np.ndarray, right: np.ndarray) -> bool:
    told = [(a.dtype, a.shape, a.strides, a.flags.writeable) for a in (left, right)]
    return told[0] == told[1] and left.tobytes() == right.tobytes()
