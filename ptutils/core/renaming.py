"""Renaming the paths of a nested state: the state of an older tree for a newer one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from ptutils.core import tree
from ptutils.errors import StateMismatchError
from ptutils.meta.values import Value

__all__ = ["Rename", "renamed"]

Rename: TypeAlias = Mapping[str, str] | Callable[[str], str]


def renamed(
    module: Any, state: Mapping[str, Value], rename: Rename
) -> dict[str, Value]:
    """Return ``state`` with its leaves at their new paths, nested as ``module`` is.

    Args:
        module: The tree that the state is for; the keys of a net contain dots.
        state: A nested state.
        rename: Old dotted paths, or beginnings of them, to new ones; or a function.

    Raises:
        StateMismatchError: If two leaves get the same path.
    """
    change = rename if callable(rename) else _change_of(rename)
    result: dict[str, Value] = {}
    old_by_new: dict[str, str] = {}
    for keys, value in _leaves(state, ()):
        old = ".".join(keys)
        new = change(old)
        if new in old_by_new:
            raise StateMismatchError(
                "cannot rename two paths to one",
                path=new,
                expected="a new path of its own for each",
                got=f"{old_by_new[new]} and {old}",
                fix="correct rename=",
            )
        old_by_new[new] = old
        _place(result, module, new, keys, value)
    return result


def _change_of(rename: Mapping[str, str]) -> Callable[[str], str]:
    def change(path: str) -> str:
        for old, new in rename.items():
            if path == old or path.startswith(f"{old}."):
                return (new + path[len(old) :]).removeprefix(".")
        return path

    return change


def _leaves(
    value: Value, keys: tuple[str, ...], above: frozenset[int] = frozenset()
) -> Iterator[tuple[tuple[str, ...], Value]]:
    named = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    if named and value and id(value) not in above:
        for name, item in value.items():
            yield from _leaves(item, (*keys, name), above | {id(value)})
    else:
        yield keys, value


def _place(
    node: dict[str, Value], module: Any, path: str, keys: tuple[str, ...], value: Value
) -> None:
    """Put ``value`` where the tree of ``module`` looks for ``path``."""
    rest, owner = path, module
    names: list[str] = []
    while tree.is_module(owner):
        for name, child in tree.parts(owner):
            if rest == name or rest.startswith(f"{name}."):
                names += name.split(".")
                rest, owner = rest[len(name) + 1 :], child
                break
        else:
            break
    if rest:
        names += [rest] if tree.is_net(owner) else _split(rest, keys)
    for name in names[:-1]:
        node = node.setdefault(name, {})
    node[names[-1]] = value


def _split(path: str, keys: tuple[str, ...]) -> list[str]:
    """Split a path at its dots, but not within the keys at its end that have dots."""
    kept: list[str] = []
    for key in reversed(keys):
        if path == key:
            return [key, *kept]
        if not path.endswith(f".{key}"):
            break
        kept.insert(0, key)
        path = path[: -len(key) - 1]
    return [*path.split("."), *kept]
