"""Renaming the paths of a nested state: the state of an older tree for a newer one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ptutils.core import tree
from ptutils.core.restoring.glancing import unread_leaves
from ptutils.core.selecting import Pattern, near_path
from ptutils.errors import ConfigError, StateMismatchError
from ptutils.meta.unread import known
from ptutils.meta.values import Value

__all__ = ["Rename", "Renamed", "renamed"]

Rename: TypeAlias = (
    Mapping[Pattern, str | None]
    | Iterable[tuple[Pattern, str | None]]
    | Callable[[str], str | None]
)
"""A dict, of which the first key that matches decides (a path, the beginning of one, or
a regular expression); pairs of regular expressions and replacements, applied one after
another; or a function. None leaves a path out."""


@dataclass(kw_only=True)
class Renamed:
    """A state under its new paths.

    Attributes:
        state: Nested as the tree is that it is for.
        new_by_old: The paths that changed; None for those that were left out.
    """

    state: dict[str, Value] = field(default_factory=dict)
    new_by_old: dict[str, str | None] = field(default_factory=dict)


def renamed(
    module: Any,
    state: Mapping[str, Value],
    rename: Rename,
    selects: Callable[[str], bool],
) -> Renamed:
    """Return ``state`` with its leaves at their new paths, nested as ``module`` is.

    Args:
        module: The tree that the state is for; the keys of a net contain dots.
        state: A nested state.
        rename: Old dotted paths to new ones.
        selects: Which parts of the tree are asked for; all else is left out.

    Raises:
        ConfigError: If ``rename`` is nothing of the kind, or no regular expression.
        StateMismatchError: If two leaves get one path, or a rule matches none.
    """
    rules = _Rules(rename)
    result = Renamed()
    placing = _Placing(result.state)
    olds: list[str] = []
    for keys, value in unread_leaves(state):
        old = ".".join(keys)
        olds.append(old)
        new = rules.change(old)
        if new is not None:
            target = _target_of(module, new, keys)
            if not selects(target.slot):
                continue
            placing.place(target.names, known(value), old=old)
        if new != old:
            result.new_by_old[old] = new
    rules.require_used(olds)
    return result


class _Rule:
    """One old path, or one regular expression, and what becomes of it."""

    def __init__(self, old: Pattern, new: str | None) -> None:
        self.old = old
        self.new = new
        self.is_used = False

    def matches(self, path: str) -> bool:
        if isinstance(self.old, re.Pattern):
            return self.old.search(path) is not None
        return self.old in ("", path) or path.startswith(f"{self.old}.")

    def change(self, path: str) -> str | None:
        """Return the new path of one that matches."""
        self.is_used = True
        if self.new is None:
            return None
        if not isinstance(self.old, re.Pattern):
            rest = path[len(self.old) :].removeprefix(".")
            return ".".join(name for name in (self.new, rest) if name)
        try:
            return self.old.sub(self.new, path)
        except (re.error, IndexError) as error:
            raise ConfigError(
                f"cannot rename {self.old.pattern!r}",
                path=path,
                expected="a replacement that refers to groups of the pattern",
                got=f"{self.new!r}: {error}",
            ) from error


class _Rules:
    """The rules of a renaming, whichever of its forms was given."""

    def __init__(self, rename: Rename) -> None:
        self._function = rename if callable(rename) else None
        self._is_chain = not isinstance(rename, Mapping)
        self._rules = [] if callable(rename) else _rules_of(rename)

    def change(self, old: str) -> str | None:
        """Return the new path of a leaf, or None if it is left out."""
        new = self._applied(old) if self._function is None else self._function(old)
        if new is None or (isinstance(new, str) and new):
            return new
        raise StateMismatchError(
            "cannot rename this path",
            path=old,
            expected="a path, or None to leave it out",
            got=repr(new),
            fix="correct rename=",
        )

    def require_used(self, paths: list[str]) -> None:
        """Refuse a rule that changed nothing: it would go unnoticed."""
        for rule in self._rules:
            if not rule.is_used:
                near = near_path(rule.old, paths)
                is_hidden = any(map(rule.matches, paths))
                raise StateMismatchError(
                    f"cannot rename {rule.old!r}",
                    expected="a path of the stored state, or the beginning of one",
                    got="what another rule renames" if is_hidden else "nothing there",
                    fix="put it before the other"
                    if is_hidden
                    else f"did you mean {near!r}?"
                    if near
                    else "",
                )

    def _applied(self, path: str) -> str | None:
        new: str | None = path
        for rule in self._rules:
            if new is not None and rule.matches(new):
                new = rule.change(new)
                if not self._is_chain:
                    break
        return new


def _rules_of(rename: Any) -> list[_Rule]:
    if isinstance(rename, Mapping):
        return [_Rule(old, new) for old, new in rename.items()]
    try:
        return [_Rule(re.compile(old), new) for old, new in rename]
    except (TypeError, ValueError, re.error) as error:
        raise ConfigError(
            "cannot rename by this",
            expected="a dict of paths, a list of (regular expression, replacement), or "
            "a function",
            got=f"{rename!r:.80}: {error}",
        ) from error


@dataclass(frozen=True, kw_only=True)
class _Target:
    """Where a leaf goes: its keys, and the path of what is assigned on its own."""

    names: tuple[str, ...]
    slot: str


def _target_of(module: Any, path: str, keys: tuple[str, ...]) -> _Target:
    """Find where the tree of ``module`` looks for ``path``."""
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
    slot = names
    if rest:
        below = [rest] if tree.is_net(owner) else _split(rest, keys)
        if tree.is_net(owner):
            slot = [*names, rest]
        elif tree.is_module(owner):
            slot = [*names, *(below[:2] if below[0] == "state" else below)]
        names = [*names, *below]
    return _Target(names=tuple(names), slot=".".join(slot))


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


class _Placing:
    """A nested state that grows leaf by leaf, each in a place of its own."""

    def __init__(self, root: dict[str, Value]) -> None:
        self._nodes: dict[tuple[str, ...], dict[str, Value]] = {(): root}
        self._old_by_path: dict[str, str] = {}
        self._old_by_names: dict[tuple[str, ...], str] = {}

    def place(self, names: tuple[str, ...], value: Value, *, old: str) -> None:
        """Put ``value`` where ``names`` lead to; refuse a place that is taken."""
        path = ".".join(names)
        if self._old_by_path.setdefault(path, old) != old:
            raise _taken(path, self._old_by_path[path], old)
        *above, last = names
        here: tuple[str, ...] = ()
        for name in above:
            node, here = self._nodes[here], (*here, name)
            if here not in self._nodes:
                self._take(here, old)
                self._nodes[here] = node[name] = {}
        self._take(names, old)
        self._nodes[here][last] = value

    def _take(self, names: tuple[str, ...], old: str) -> None:
        if names in self._old_by_names:
            raise _taken(".".join(names), self._old_by_names[names], old)
        self._old_by_names[names] = old


def _taken(path: str, one: str, other: str) -> StateMismatchError:
    return StateMismatchError(
        "cannot rename two paths to one",
        path=path,
        expected="a new path of its own for each",
        got=f"{one} and {other}",
        fix="correct rename=",
    )
