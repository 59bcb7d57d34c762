"""Dotted paths: the one way in which values inside nested containers are addressed.

A part of a path is a key of a dict or an index of a list or tuple. Keys that contain
dots themselves are found too (``model.0.weight`` where the key is ``"0.weight"``); a
key that is not a string answers to its text (``"0"`` finds the key ``0``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from ptutils.errors import nearest
from ptutils.meta.unread import inside, known, own_item
from ptutils.meta.values import Value

__all__ = ["Trail", "assign", "explain", "lookup", "place", "trail"]

Trail = list[tuple[Value, Value]]
"""The containers from the root to a value, each with the key or index to go on by."""


def trail(root: Value, path: str) -> Trail | None:
    """Return the way from ``root`` to the value at ``path``, None if there is none.

    Where several readings of the path lead to a value, the longest key wins.
    """
    for key, rest in _steps(root, path):
        if rest is None:
            return [(root, key)]
        onward = trail(_inside(root, key), rest)
        if onward is not None:
            return [(root, key), *onward]
    return None


def lookup(found: Trail) -> Value:
    """Return the value that a trail leads to."""
    container, key = found[-1]
    return _get(container, key)


def assign(found: Trail, value: Value) -> None:
    """Put ``value`` at the end of a trail in place; tuples on the way are made anew."""
    above = list(found)
    container, key = above.pop()
    while isinstance(container, tuple):
        value = (*container[:key], value, *container[key + 1 :])
        container, key = above.pop()
    if isinstance(container, dict):
        # The dict's own method: subclasses read and write paths by theirs.
        dict.__setitem__(container, key, value)
    else:
        container[key] = value


def place(root: Value, path: str) -> Trail | None:
    """Return the way to where ``path`` is or, as a new name in a dict, could be."""
    found = trail(root, path)
    if found is not None:
        return found
    parent, dot, name = path.rpartition(".")
    if not dot:
        return [(root, name)]
    above = trail(root, parent)
    if above is None or not isinstance(lookup(above), dict):
        return None
    return [*above, (lookup(above), name)]


def explain(
    root: Value, path: str
) -> dict[Literal["path", "expected", "got", "fix"], str]:
    """Say why nothing is at ``path``, in the fields of an error."""
    parts = path.split(".")
    depth = len(parts) - 1
    while depth and trail(root, ".".join(parts[:depth])) is None:
        depth -= 1
    prefix = ".".join(parts[:depth])
    found = trail(root, prefix) if depth else None
    parent = lookup(found) if found else root
    names = _names(parent)
    place = f"below {prefix!r}" if prefix else "at the top"
    near = nearest(parts[depth], names)
    if not isinstance(parent, dict | list | tuple):
        expected = f"{prefix!r} to be a dict or list; it is {type(parent).__name__}"
    else:
        expected = f"{place} one of: {', '.join(names) or 'nothing, it is empty'}"
    return {
        "path": path,
        "expected": expected,
        "got": repr(parts[depth]),
        "fix": f"did you mean {'.'.join([*parts[:depth], near])!r}?" if near else "",
    }


def _steps(container: Value, path: str) -> Iterator[tuple[Value, str | None]]:
    """Yield each key or index that ``path`` may begin with, and what is left."""
    parts = path.split(".")
    if isinstance(container, dict):
        for count in range(len(parts), 0, -1):
            head = ".".join(parts[:count])
            rest = ".".join(parts[count:]) if count < len(parts) else None
            yield from ((key, rest) for key in _keys(container, head))
    elif isinstance(container, list | tuple):
        head = parts[0]
        if head.isascii() and head.isdecimal() and int(head) < len(container):
            yield int(head), ".".join(parts[1:]) if len(parts) > 1 else None


def _keys(container: dict[Value, Value], text: str) -> Iterator[Value]:
    """Yield the keys that answer to ``text``: the string, then what reads like it."""
    if dict.__contains__(container, text):
        yield text
    for key in container:
        if not isinstance(key, str) and str(key) == text:
            yield key


def _get(container: Value, key: Value) -> Value:
    # The dict's own item: subclasses read and write paths by theirs.
    is_dict = isinstance(container, dict)
    return own_item(container, key) if is_dict else known(container[key])


def _inside(container: Value, key: Value) -> Value:
    is_dict = isinstance(container, dict)
    return inside(dict.__getitem__(container, key) if is_dict else container[key])


def _names(container: Value) -> Sequence[str]:
    if isinstance(container, dict):
        return [str(key) for key in container]
    if isinstance(container, list | tuple):
        return [str(index) for index in range(len(container))]
    return []
