"""Glancing at a nested state: its names are seen, and nothing in it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ptutils.meta.unread import inside, known
from ptutils.meta.values import Value

__all__ = ["glance", "unread_leaves", "whole"]


def glance(state: Mapping[Any, Value]) -> dict[Any, Value]:
    """Return the items of a state; what is unread in it stays so."""
    return dict(dict.items(state) if isinstance(state, dict) else state.items())


def unread_leaves(
    value: Value, keys: tuple[str, ...] = (), above: frozenset[int] = frozenset()
) -> Iterator[tuple[tuple[str, ...], Value]]:
    """Yield what is no dict with names inside, read or not, with the keys to it."""
    within = inside(value)
    named = isinstance(within, Mapping) and all(isinstance(key, str) for key in within)
    # A cycle of a tree is one of its state.
    if named and (within or not keys) and id(within) not in above:
        for name, item in glance(within).items():
            yield from unread_leaves(item, (*keys, name), above | {id(within)})
    else:
        yield keys, value


def whole(value: Value, above: frozenset[int] = frozenset()) -> Value:
    """Return a value after reading it and all that is inside it."""
    value = known(value)
    if isinstance(value, Mapping) and id(value) not in above:
        for item in value.values():
            whole(item, above | {id(value)})
    return value
