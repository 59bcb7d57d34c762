"""Loading a nested state into a tree: plan the whole, then assign.

The tree is walked beside the state. Each *slot* is the smallest thing that is assigned
on its own: a name of a Module's own state, a tensor of a net, the whole state of any
other object.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ptutils.core import tree
from ptutils.errors import StateMismatchError, nearest
from ptutils.meta.values import Value

__all__ = ["LoadReport", "Rename", "Select", "load_tree"]

Select: TypeAlias = str | Iterable[str] | Callable[[str], bool]
Rename: TypeAlias = Mapping[str, str] | Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What loading a state did, by dotted path."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"loaded {len(self.loaded)}"]
        for name in ("missing", "unexpected", "mismatched"):
            paths = getattr(self, name)
            if paths:
                lines.append(f"{name} {len(paths)}: {', '.join(paths)}")
        return "\n".join(lines)


@dataclass
class _Plan:
    """What is to be assigned, and what does not fit."""

    selects: Callable[[str], bool]
    assign: list[Callable[[], object]] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, str] = field(default_factory=dict)


def load_tree(
    module: Any,
    state: Mapping[str, Value],
    *,
    strict: bool,
    select: Select | None,
    rename: Rename | None,
) -> LoadReport:
    """Load ``state`` into the tree of ``module``; see ``Module.load_state_dict``."""
    plan = _Plan(_selector(select))
    if rename is not None:
        state = _renamed(module, state, rename)
    _plan_module(module, state, "", plan, set())
    if strict and (plan.missing or plan.unexpected or plan.mismatched):
        raise _mismatch(module, plan)
    for assign in plan.assign:
        assign()
    return LoadReport(
        loaded=tuple(plan.loaded),
        missing=tuple(plan.missing),
        unexpected=tuple(plan.unexpected),
        mismatched=tuple(plan.mismatched),
    )


def _plan_module(
    module: Any, state: Value, path: str, plan: _Plan, seen: set[int]
) -> None:
    seen.add(id(module))
    left = dict(state) if isinstance(state, Mapping) else {}
    _plan_own(module, left.pop("state", {}), _join(path, "state"), plan)
    reactions = module._ptutils.callbacks
    parts = [] if reactions is None else list(reactions.items())
    named = [(f"callbacks.{name}", callback) for name, callback in parts]
    for name, child in [*named, *tree.children(module)]:
        found, given = _take(left, name)
        if id(child) in seen:
            continue  # A shared child was loaded under its first path.
        if hasattr(type(child), "_ptutils_is_module"):
            _plan_module(child, given if found else {}, _join(path, name), plan, seen)
        else:
            seen.add(id(child))
            _plan_foreign(child, given, found, _join(path, name), plan)
    for name in _leaves(left, path):
        if plan.selects(name):
            plan.unexpected.append(name)
    plan.assign.append(module._after_load)


def _plan_own(module: Any, given: Mapping[str, Value], path: str, plan: _Plan) -> None:
    module._before_save()  # So that what is refreshed on saving is expected here.
    own = module.state
    chosen = {k: v for k, v in given.items() if plan.selects(_join(path, k))}
    missing = [k for k in own if k not in chosen and plan.selects(_join(path, k))]
    unexpected = [k for k in chosen if k not in own]
    if missing:
        plan.missing += [_join(path, name) for name in missing]
        plan.unexpected += [_join(path, name) for name in unexpected]
        chosen = {k: v for k, v in chosen.items() if k in own}
    # Names that the owner added while running are its own; only beside a missing one
    # are they likely to be misspelt.
    plan.loaded += [_join(path, name) for name in chosen]
    plan.assign.append(lambda: own.update(chosen))


def _plan_foreign(
    child: Any, given: Value, found: bool, path: str, plan: _Plan
) -> None:
    current = child.state_dict()
    if hasattr(child, "named_parameters") and not hasattr(child, "compute"):
        _plan_net(child, current, given if found else {}, path, plan)
    elif not found:
        if current and plan.selects(path):
            plan.missing.append(path)
    elif plan.selects(path):
        fault = _optimizer_fault(current, given)
        if fault:
            plan.mismatched[path] = fault
        else:
            plan.loaded.append(path)
            plan.assign.append(lambda: child.load_state_dict(given))


def _plan_net(
    net: Any, current: Mapping[str, Value], given: Value, path: str, plan: _Plan
) -> None:
    """Plan a torch.nn.Module-like child, tensor by tensor."""
    fitting = {}
    for name, tensor in current.items():
        place = _join(path, name)
        if not plan.selects(place):
            continue
        if name not in given:
            plan.missing.append(place)
            continue
        ours, theirs = _shape(tensor), _shape(given[name])
        if ours != theirs:
            plan.mismatched[place] = f"shape {theirs}, expected {ours}"
            continue
        fitting[name] = given[name]
        plan.loaded.append(place)
    for name in given:
        if name not in current and plan.selects(_join(path, name)):
            plan.unexpected.append(_join(path, name))
    if fitting:
        plan.assign.append(lambda: net.load_state_dict(fitting, strict=False))


def _optimizer_fault(current: Value, given: Value) -> str:
    """Say why an optimizer's state does not fit; other objects judge for themselves."""
    if not isinstance(current, Mapping) or "param_groups" not in current:
        return ""
    if not isinstance(given, Mapping) or "param_groups" not in given:
        return "no param_groups"
    ours = [len(group["params"]) for group in current["param_groups"]]
    theirs = [len(group["params"]) for group in given["param_groups"]]
    return "" if ours == theirs else f"groups of {theirs} parameters, expected {ours}"


def _shape(value: Value) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    return None if shape is None else tuple(shape)


def _take(left: dict[str, Value], name: str) -> tuple[bool, Value]:
    """Remove and return what stands under a dotted name."""
    first, dot, rest = name.partition(".")
    if first not in left:
        return False, None
    if not dot:
        return True, left.pop(first)
    if not isinstance(left[first], Mapping):
        return False, None
    left[first] = inner = dict(left[first])
    result = _take(inner, rest)
    if not inner:
        del left[first]
    return result


def _leaves(value: Value, path: str) -> Iterator[str]:
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        for name, item in value.items():
            yield from _leaves(item, _join(path, name))
    else:
        yield path


def _selector(select: Select | None) -> Callable[[str], bool]:
    if select is None:
        return lambda path: True
    if callable(select):
        return select
    patterns = [select] if isinstance(select, str) else list(select)
    return lambda path: any(
        path == pattern
        or path.startswith(f"{pattern}.")
        or fnmatch.fnmatchcase(path, pattern)
        for pattern in patterns
    )


def _renamed(module: Any, state: Mapping[str, Value], rename: Rename) -> Value:
    """Move every leaf to its new dotted path, nested as the tree of ``module`` is."""
    change = rename if callable(rename) else _prefix_rename(rename)
    result: dict[str, Value] = {}
    for path, value in _items(state, ""):
        _place(result, module, change(path), value)
    return result


def _prefix_rename(rename: Mapping[str, str]) -> Callable[[str], str]:
    def change(path: str) -> str:
        for old, new in rename.items():
            if path == old or path.startswith(f"{old}."):
                return new + path[len(old) :]
        return path

    return change


def _items(value: Value, path: str) -> Iterator[tuple[str, Value]]:
    if isinstance(value, Mapping) and value and all(isinstance(k, str) for k in value):
        for name, item in value.items():
            yield from _items(item, _join(path, name))
    else:
        yield path, value


def _place(node: dict[str, Value], module: Any, path: str, value: Value) -> None:
    if hasattr(type(module), "_ptutils_is_module"):
        for name, child in tree.children(module):
            if path == name or path.startswith(f"{name}."):
                rest = path[len(name) + 1 :]
                for part in name.split("."):
                    node = node.setdefault(part, {})
                return _place(node, child, rest, value)
        first, _, rest = path.partition(".")
        if not rest:
            node[first] = value
            return None
        return _place(node.setdefault(first, {}), None, rest, value)
    if hasattr(module, "named_parameters"):
        node[path] = value  # A net's own names contain dots.
        return None
    *parents, last = path.split(".")
    for part in parents:
        node = node.setdefault(part, {})
    node[last] = value
    return None


def _mismatch(module: Any, plan: _Plan) -> StateMismatchError:
    name = type(module).__qualname__
    got, fixes = [], []
    if plan.missing:
        got.append(f"missing {', '.join(plan.missing)}")
    if plan.unexpected:
        got.append(f"unexpected {', '.join(plan.unexpected)}")
    got += [f"{path}: {why}" for path, why in plan.mismatched.items()]
    for path in plan.unexpected:
        guess = nearest(path, plan.missing)
        if guess:
            fixes.append(f"rename={{{path!r}: {guess!r}}}")
    return StateMismatchError(
        f"cannot load state into this {name}",
        expected="a state with the paths and shapes of the tree",
        got="; ".join(got),
        fix=", ".join([*fixes, "or pass strict=False to load what fits"]),
    )


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
