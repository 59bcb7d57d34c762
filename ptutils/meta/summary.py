"""Summary: how many leaves, elements and bytes each part of a State has, as a tree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ptutils.meta.codec import Encoded, loads
from ptutils.meta.values import Document, Value

__all__ = ["Summary", "summarize"]

_ARRAYS: Final = ("numpy.ndarray", "torch.Tensor", "torch.nn.Parameter")
_TITLES: Final = ("", "leaves", "elements", "size", "dtypes")
_UNIT: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One part of a State; ``print`` draws it with all that holds arrays below it.

    Memory that is shared counts once in each part that holds it, so that a part may be
    smaller than the sum of its own.

    Attributes:
        name: Its key; ``""`` at the top.
        leaves: How many values it holds.
        elements: Of arrays and tensors.
        size_bytes: Of their memory.
        dtypes: Elements by dtype.
        parts: What it consists of; empty for a leaf.
    """

    name: str
    leaves: int
    elements: int
    size_bytes: int
    dtypes: dict[str, int]
    parts: list[Summary]

    def to_dict(self) -> Document:
        """Return it as plain values, of its parts those that hold arrays."""
        parts = [part.to_dict() for part in self.parts if part.elements]
        return {**vars(self), "dtypes": dict(self.dtypes), "parts": parts}

    def __str__(self) -> str:
        rows = [_TITLES, *self._rows("", "")]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for name, *numbers, dtypes in rows:
            cells = [
                cell.rjust(w) for cell, w in zip(numbers, widths[1:], strict=False)
            ]
            lines.append("  ".join([name.ljust(widths[0]), *cells, dtypes]).rstrip())
        return "\n".join(lines)

    def _rows(self, lead: str, indent: str) -> Iterator[tuple[str, ...]]:
        is_plain = bool(self.name) and self.name.isprintable()
        name = self.name if is_plain else repr(self.name)
        yield (
            f"{lead}{name if lead or self.name else 'State'}",
            f"{self.leaves:,}",
            f"{self.elements:,}",
            _size(self.size_bytes),
            ", ".join(self.dtypes),
        )
        for part in self.parts if self.elements else ():
            is_last = part is self.parts[-1]
            below = indent + ("    " if is_last else "│   ")
            yield from part._rows(indent + ("└── " if is_last else "├── "), below)


def summarize(encoded: Encoded) -> Summary:
    """Sum up an encoded State.

    Example:
        >>> from ptutils.meta.codec import encode
        >>> summarize(encode({"step": 1, "betas": [0.9, 0.99]})).leaves
        3
    """
    tree = loads(encoded.types)["tree"] if encoded.types else None
    walk = _Walk([len(artifact) for artifact in encoded.artifacts])
    walk.note(encoded.document, tree)
    return walk.level("", encoded.document, tree).summary(walk.sizes)


@dataclass
class _Level:
    """A part while it is being summed up: arrays by what tells them apart."""

    name: str
    leaves: int = 0
    arrays: dict[Value, tuple[str, int]] = field(default_factory=dict)
    storages: set[int] = field(default_factory=set)
    parts: list[_Level] = field(default_factory=list)

    def add(self, part: _Level) -> None:
        self.parts.append(part)
        self.leaves += part.leaves
        self.arrays |= part.arrays
        self.storages |= part.storages

    def summary(self, sizes: Sequence[int]) -> Summary:
        dtypes: dict[str, int] = {}
        for dtype, elements in self.arrays.values():
            dtypes[dtype] = dtypes.get(dtype, 0) + elements
        return Summary(
            name=self.name,
            leaves=self.leaves,
            elements=sum(dtypes.values()),
            size_bytes=sum(sizes[number] for number in self.storages),
            dtypes=dtypes,
            parts=[part.summary(sizes) for part in self.parts],
        )


class _Walk:
    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = sizes
        self._targets: dict[int, tuple[Value, Document]] = {}
        self._open: set[int] = set()  # Targets that the walk is inside of.

    def note(self, plain: Value, node: Value) -> None:
        """Note what others refer to."""
        if isinstance(node, dict):
            if "id" in node:
                self._targets[node["id"]] = plain, node
            for name, child in _children(plain):
                self.note(child, node.get("in", {}).get(name))

    def level(self, name: str, plain: Value, node: Value) -> _Level:
        """Sum up what a plain form and its node say of one part."""
        told: Document = node if isinstance(node, dict) else {"is": node}
        if told.get("is") == "ref":
            plain, told = self._targets[told["to"]]
        number = told.get("id")
        level = _Level(name)
        if told.get("is") in _ARRAYS:
            level.arrays.update([_array(plain, told)])
            level.storages |= {told["at"]} if "at" in told else set()
        elif number not in self._open or number is None:
            self._open |= {number} if number is not None else set()
            keys = told.get("keys", {})
            for key, child in _children(plain):
                own = keys.get(key, key) if isinstance(keys, dict) else key
                label = own if isinstance(own, str) else key
                level.add(self.level(label, child, told.get("in", {}).get(key)))
            self._open.discard(number)
        level.leaves = level.leaves or 1
        return level


def _children(plain: Value) -> Iterator[tuple[str, Value]]:
    if isinstance(plain, dict):
        yield from plain.items()
    elif isinstance(plain, list):
        yield from ((str(index), child) for index, child in enumerate(plain))


def _array(plain: str, node: Document) -> tuple[Value, tuple[str, int]]:
    """Return what tells an array from all others; its dtype and elements."""
    dtype, _, sizes = plain.removesuffix("]").rpartition("[")
    elements = math.prod(int(size) for size in sizes.split(", ") if size)
    strides = tuple(node.get("strides", ()))
    key: Any = (node.get("at"), node.get("offset"), strides, plain)
    return key, (dtype, elements)


def _size(size_bytes: int) -> str:
    size, units = float(size_bytes), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= _UNIT and len(units) > 1:
        size /= _UNIT
        units.pop(0)
    return f"{size:.4g} {units[0]}"
