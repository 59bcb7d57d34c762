"""Work on plain nested values: copies, merges, differences, references."""

from __future__ import annotations

import copy
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ptutils.errors import ConfigError, EncodeError
from ptutils.meta.codec import dumps, encode
from ptutils.meta.metamodule import MetaModule
from ptutils.meta.paths import explain, lookup, trail
from ptutils.meta.values import Document, Value

__all__ = ["ABSENT", "copied", "differences", "merged", "resolved"]

_REFERENCE = re.compile(r"\$\{([^${}]*)\}")


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""Stands for the side of a difference that has nothing at a path."""


def copied(value: Value, inside: frozenset[int] = frozenset()) -> Value:
    """Return ``value`` in containers of its own; what is no container is shared.

    Any mapping that is not one of the standard library's dicts becomes a plain dict.

    Raises:
        ConfigError: If a container contains itself.
    """
    if id(value) in inside:
        raise ConfigError("cannot hold a container that contains itself")
    inside |= {id(value)}
    if type(value) in (list, tuple):
        return type(value)(copied(item, inside) for item in value)
    if _is_plain_mapping(value):
        return {key: copied(item, inside) for key, item in value.items()}
    if isinstance(value, dict | list | set | deque | bytearray):
        return copy.deepcopy(value)
    return value


def merged(ours: Value, theirs: Value) -> Value:
    """Return ``theirs`` laid over ``ours``: dicts key by key, all else as a whole."""
    if type(ours) is dict and type(theirs) is dict:
        added = {key: item for key, item in theirs.items() if key not in ours}
        return {
            key: merged(item, theirs[key]) if key in theirs else item
            for key, item in ours.items()
        } | added
    return theirs


def differences(
    ours: Value, theirs: Value, path: str = ""
) -> Iterator[tuple[str, tuple[Value, Value]]]:
    """Yield the paths at which two values differ in value or type, with both sides."""
    for key, mine, other in _aligned(ours, theirs):
        below = f"{path}.{key}" if path else str(key)
        yield from differences(mine, other, below)
    if not _aligned(ours, theirs) and not _is_same(ours, theirs):
        yield path, (ours, theirs)


def resolved(root: Document, faults: list[ConfigError]) -> Document:
    """Return ``root`` with each ``${path}`` replaced by what it holds at that path.

    Args:
        root: Plain nested values.
        faults: Gets what cannot be resolved; None takes its place in the result.
    """

    def resolve(path: str, leaf: Value) -> Value:
        try:
            return _resolved(root, path, leaf, ())
        except ConfigError as fault:
            faults.append(fault)
            return None

    result: Document = _mapped(root, resolve)
    return result


def _is_plain_mapping(value: Value) -> bool:
    if not isinstance(value, dict):
        return isinstance(value, Mapping)
    return type(value) is dict or isinstance(value, MetaModule)


def _aligned(ours: Value, theirs: Value) -> list[tuple[Value, Value, Value]]:
    """Return (key, ours, theirs) for containers that can be compared inside."""
    if type(ours) is dict and type(theirs) is dict:
        return [
            (key, ours.get(key, ABSENT), theirs.get(key, ABSENT))
            for key in {**ours, **theirs}
        ]
    alike = type(ours) is type(theirs) and type(ours) in (list, tuple)
    if alike and len(ours) == len(theirs):
        return list(zip(range(len(ours)), ours, theirs, strict=True))
    return []


def _is_same(ours: Value, theirs: Value) -> bool:
    if ours is theirs or type(ours) is not type(theirs):
        return ours is theirs
    try:
        return _exact(ours) == _exact(theirs)
    except EncodeError:
        return False  # Two objects of which nobody can tell that they are equal.


def _exact(value: Value) -> tuple[object, ...]:
    encoded = encode(value)
    contents = tuple(bytes(artifact) for artifact in encoded.artifacts)
    return dumps(encoded.document), encoded.types, contents


def _mapped(
    value: Value, change: Callable[[str, Value], Value], path: str = ""
) -> Value:
    """Return a copy of plain ``value`` with each leaf as ``change`` says."""
    below = f"{path}." if path else ""
    if type(value) is dict:
        return {
            key: _mapped(item, change, f"{below}{key}") for key, item in value.items()
        }
    if type(value) in (list, tuple):
        return type(value)(
            _mapped(item, change, f"{below}{index}") for index, item in enumerate(value)
        )
    return change(path, value)


def _resolved(root: Document, path: str, leaf: Value, chain: tuple[str, ...]) -> Value:
    if type(leaf) is not str:
        return leaf
    whole = _REFERENCE.fullmatch(leaf)
    if whole:
        return _referred(root, path, whole[1], chain)
    return _REFERENCE.sub(
        lambda match: _written(path, match[0], _referred(root, path, match[1], chain)),
        leaf,
    )


def _referred(root: Document, path: str, name: str, chain: tuple[str, ...]) -> Value:
    if name in chain:
        raise ConfigError(
            f"cannot resolve ${{{name}}}",
            path=path,
            expected="references that end in a value",
            got=f"a circle: {' -> '.join((*chain, name))}",
        )
    found = trail(root, name)
    if found is None:
        fields = {**explain(root, name), "path": path}
        raise ConfigError(f"cannot resolve ${{{name}}}", **fields)
    onward = (*chain, name)
    return _mapped(
        lookup(found), lambda below, leaf: _resolved(root, below, leaf, onward), name
    )


def _written(path: str, reference: str, value: Value) -> str:
    if not isinstance(value, str | int | float):
        raise ConfigError(
            f"cannot write {reference} into a text",
            path=path,
            expected="a text, number or boolean",
            got=type(value).__name__,
        )
    return str(value)
