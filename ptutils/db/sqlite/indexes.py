"""What SQLite indexes: the keys of a document, and the bounds that a filter sets.

Each document has at most one key per indexed path. A path that leads to nothing, or to
null, has none. Where it leads to or through a list, to a dict, to bytes or to a long
text, the key is COMPLEX: such documents are candidates of every query. SQL therefore
only narrows; the compiled filter decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ptutils.db.filters.match import is_expression
from ptutils.db.filters.order import key
from ptutils.meta.values import Document, Value

__all__ = ["COMPLEX", "DEFAULTS", "Bound", "bounds", "entries", "key_of", "pattern_for"]

COMPLEX: Final = b"\xff"
"""Greater than every key of a value."""

DEFAULTS: Final = {
    "runs": ("experiment", "created", "status.phase", "status.heartbeat", "summary.*"),
    "checkpoints": ("run", "step"),
    "history": ("run", "path"),
}
"""Indexed paths by collection; ``a.*`` stands for every leaf below ``a``."""

_MAX_KEY_BYTES: Final = 200
_MAX_POINTS: Final = 500
_SCALARS: Final = (bool, int, float, str, datetime)
_LEAST: Final = b""


def entries(document: Document, patterns: Iterable[str]) -> dict[str, bytes]:
    """Return the keys of a document by path."""
    found: dict[str, bytes] = {}
    for pattern in patterns:
        is_tree = pattern.endswith(".*")
        value = _follow(document, pattern.removesuffix(".*"))
        if is_tree and type(value) is dict:
            found.update(_leaves(pattern[:-1], value, pattern))
        elif is_tree and type(value) is list:
            found[pattern] = COMPLEX
        elif not is_tree and value is not None:
            found[pattern] = key_of(value)
    return found


def pattern_for(path: str, patterns: Iterable[str]) -> str | None:
    """Return the pattern that indexes a path, the path itself if possible."""
    known = tuple(patterns)
    if path in known:
        return path
    trees = (each for each in known if each.endswith(".*"))
    return next((tree for tree in trees if path.startswith(tree[:-1])), None)


def key_of(value: Value) -> bytes:
    """Return the key of what a path leads to, which is not null."""
    if type(value) in (dict, list, bytes):
        return COMPLEX
    found = key(value)
    return found if len(found) <= _MAX_KEY_BYTES else COMPLEX


@dataclass(kw_only=True)
class Bound:
    """What a filter demands of the key at one path, if it is not COMPLEX.

    Attributes:
        low: The least key that may match.
        high: The greatest.
        points: The only keys that may match, or None for all between.
    """

    low: bytes = _LEAST
    high: bytes = COMPLEX
    points: list[bytes] | None = field(default=None)


def bounds(filter: Document) -> dict[str, Bound]:
    """Return the bounds that every match of a valid filter lies in, by path."""
    found: dict[str, Bound] = {}
    for path, name, operand in _demands(filter):
        bound = found.setdefault(path, Bound())
        if name == "$in":
            bound.points = [key(item) for item in operand]
            continue
        edge = key(operand)
        if name in ("$eq", "$gt", "$gte"):
            bound.low = max(bound.low, edge)
        if name in ("$gt", "$gte"):
            bound.high = min(bound.high, bytes((edge[0] + 1,)))
        if name in ("$eq", "$lt", "$lte"):
            bound.high = min(bound.high, edge)
        if name in ("$lt", "$lte"):
            bound.low = max(bound.low, edge[:1])
    return found


def _follow(document: Document, path: str) -> Value:
    value: Value = document
    for name in path.split("."):
        if type(value) is list:
            return value
        if type(value) is not dict:
            return None
        value = value.get(name)
    return value


def _leaves(prefix: str, tree: Document, pattern: str) -> Iterator[tuple[str, bytes]]:
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if type(value) is dict and value:
            yield from _leaves(f"{path}.", value, pattern)
        elif type(value) in (dict, list):
            yield pattern, COMPLEX  # Any path below might lead into it.
        elif value is not None:
            yield path, key_of(value)


def _demands(filter: Document) -> Iterator[tuple[str, str, Value]]:
    for path, operand in filter.items():
        if path == "$and":
            for part in operand:
                yield from _demands(part)
        elif not path.startswith("$"):
            named = operand if is_expression(operand) else {"$eq": operand}
            for name, value in named.items():
                if _is_bounding(name, value):
                    yield path, name, value


def _is_bounding(name: str, operand: Value) -> bool:
    if name == "$in":
        are_few = len(operand) <= _MAX_POINTS
        return are_few and all(type(item) in _SCALARS for item in operand)
    if name not in ("$eq", "$gt", "$gte", "$lt", "$lte"):
        return False
    if type(operand) is float and math.isnan(operand):
        return False
    return type(operand) in _SCALARS
