"""Differences: what became of each leaf between two nested values."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ptutils.meta.codec import encode
from ptutils.meta.digest import state_digest
from ptutils.meta.distance import Distance, distance, is_array
from ptutils.meta.plain import ABSENT
from ptutils.meta.values import Value

__all__ = ["Change", "Kind", "changes"]

_LONGEST = 60
_NUMBERS = (bool, int, float, complex)


class Kind(enum.StrEnum):
    """What became of a leaf."""

    EQUAL = "equal"
    CHANGED = "changed"
    SHAPE = "shape"
    TYPE = "type"
    ONLY_OURS = "only ours"
    ONLY_THEIRS = "only theirs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One leaf on both sides.

    Attributes:
        path: Where it is.
        kind: What became of it.
        ours: What it is on our side, in one line; ``""`` where it is not there.
        theirs: Likewise on the other.
        distance: Between two numbers, arrays or tensors of one shape.
    """

    path: str
    kind: Kind
    ours: str
    theirs: str
    distance: Distance | None = None


def changes(ours: Value, theirs: Value) -> Iterator[Change]:
    """Yield every leaf of two nested values, equal ones too; one pair at a time.

    Dicts are entered key by key, lists and tuples place by place. What else there is,
    and an empty container, is a leaf. Containers of different types are a leaf as well
    as entered: a tuple that became a list has changed though its elements have not.

    Raises:
        EncodeError: If a leaf cannot be stored, so that nobody can tell it from others.
    """
    return _Walk().walk(ours, theirs, "")


class _Walk:
    def __init__(self) -> None:
        self._open: set[int] = set()  # The containers that the walk is inside of.

    def walk(self, ours: Value, theirs: Value, path: str) -> Iterator[Change]:
        sides = [side for side in (ours, theirs) if side is not ABSENT]
        keys = [_keys(side) for side in sides]
        is_inside = self._open & {id(side) for side in sides}
        if is_inside or not any(keys) or None in keys or not _are_alike(sides):
            yield _leaf(ours, theirs, path)
            return
        if len(sides) == 2 and type(ours) is not type(theirs):
            yield _of_type(ours, theirs, path)
        self._open |= {id(side) for side in sides}
        for key in dict.fromkeys(key for each in keys for key in each or ()):
            below = f"{path}.{key}" if path else str(key)
            yield from self.walk(_child(ours, key), _child(theirs, key), below)
        self._open -= {id(side) for side in sides}


def _keys(value: Value) -> Iterable[Value] | None:
    if isinstance(value, Mapping):
        return list(value)
    return range(len(value)) if isinstance(value, list | tuple) else None


def _are_alike(sides: list[Value]) -> bool:
    return len({isinstance(side, Mapping) for side in sides}) == 1


def _child(value: Value, key: Value) -> Value:
    if isinstance(value, Mapping):
        return value[key] if key in value.keys() else ABSENT  # noqa: SIM118 - no paths
    return value[key] if value is not ABSENT and key < len(value) else ABSENT


def _leaf(ours: Value, theirs: Value, path: str) -> Change:
    told = _described(ours), _described(theirs)
    if ours is ABSENT or theirs is ABSENT:
        kind = Kind.ONLY_THEIRS if ours is ABSENT else Kind.ONLY_OURS
        return Change(path=path, kind=kind, ours=told[0], theirs=told[1])
    if is_array(ours) and is_array(theirs):
        return _between_arrays(ours, theirs, path)
    if type(ours) is not type(theirs):
        return _of_type(ours, theirs, path)
    kind = Kind.EQUAL if _is_same(ours, theirs, path) else Kind.CHANGED
    found = None
    if kind is Kind.CHANGED and type(ours) in _NUMBERS:
        found = _between_numbers(ours, theirs)
    return Change(path=path, kind=kind, ours=told[0], theirs=told[1], distance=found)


def _of_type(ours: Value, theirs: Value, path: str) -> Change:
    told = [
        type(side).__name__
        if _keys(side) is not None
        else f"{type(side).__name__} {_described(side)}"
        for side in (ours, theirs)
    ]
    return Change(path=path, kind=Kind.TYPE, ours=told[0], theirs=told[1])


def _between_arrays(ours: Value, theirs: Value, path: str) -> Change:
    told = _described(ours), _described(theirs)
    if tuple(ours.shape) != tuple(theirs.shape):
        return Change(path=path, kind=Kind.SHAPE, ours=told[0], theirs=told[1])
    num_changed, found = distance(ours, theirs)
    kind = Kind.CHANGED if num_changed else Kind.EQUAL
    if told[0] != told[1]:
        kind = Kind.TYPE
    shown = None if kind is Kind.EQUAL else found
    return Change(path=path, kind=kind, ours=told[0], theirs=told[1], distance=shown)


def _between_numbers(ours: Value, theirs: Value) -> Distance | None:
    try:
        pair = [np.asarray([side], dtype=np.complex128) for side in (ours, theirs)]
    except OverflowError:
        return None
    found = distance(*pair)[1]
    # Two large ints may be one number in float64.
    return found and dataclasses.replace(found, num_changed=1)


def _is_same(ours: Value, theirs: Value, path: str) -> bool:
    first, second = (state_digest(encode(side, path=path)) for side in (ours, theirs))
    return first == second


def _described(value: Value) -> str:
    """Return what a value is in one line: an array by dtype and shape, not content."""
    if value is ABSENT:
        return ""
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        text = " ".join(repr(value).split())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    name, kind = str(value.dtype).removeprefix("torch."), type(value).__name__
    words = [f"{name}{list(value.shape)}"]
    words[:0] = [] if kind == "Tensor" else [kind]
    if getattr(value, "requires_grad", False):
        words.append("with gradient")
    device = str(getattr(value, "device", "cpu"))
    words += [] if device == "cpu" else [f"on {device}"]
    return " ".join(words)
