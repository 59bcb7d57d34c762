"""Walking a tree of Modules: children, paths, nested state, config, drawing.

A child is an attribute that is a Module or that has ``state_dict`` and
``load_state_dict``; also such objects inside lists, tuples and dicts. Children are
addressed by attribute name, index or key, joined by dots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ptutils.core.late import Late
from ptutils.core.trust import name_for
from ptutils.errors import EncodeError
from ptutils.meta.codec import encode
from ptutils.meta.config import Config
from ptutils.meta.metamodule import MetaModule
from ptutils.meta.registry import Registered, recall
from ptutils.meta.values import Value

__all__ = ["children", "config_of", "draw", "holds_child", "is_child", "state_of", "walk"]

_PRIVATE = "_ptutils"
_PLAIN = (type(None), bool, int, float, str, bytes)


def is_child(value: object) -> bool:
    """Tell whether ``value`` is part of a tree: it has state to save and to load.

    A Config is not: it says what to build and never changes after the build.
    """
    kind = type(value)
    if isinstance(value, Config):
        return False
    return hasattr(kind, "state_dict") and hasattr(kind, "load_state_dict")


def holds_child(value: object) -> bool:
    """Tell whether ``value`` is a child, or a list, tuple or dict that holds one."""
    return is_child(value) or any(True for _ in _inside(value))


def children(module: object) -> Iterator[tuple[str, Any]]:
    """Yield each child of a Module with its dotted name, in order of assignment."""
    for name, value in list(vars(module).items()):
        if name == _PRIVATE:
            continue
        if is_child(value):
            yield name, value
        else:
            for inner, child in _inside(value):
                yield f"{name}.{inner}", child


def walk(root: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every object of a tree once, depth first, with its dotted path."""
    seen: set[int] = set()

    def visit(value: object, here: str) -> Iterator[tuple[str, Any]]:
        if id(value) in seen:
            return
        seen.add(id(value))
        yield here, value
        if _is_module(value):
            for name, child in children(value):
                yield from visit(child, f"{here}.{name}" if here else name)

    return visit(root, path)


def state_of(module: Any, memo: dict[int, Value] | None = None) -> dict[str, Value]:
    """Collect the nested state of a Module: its own, its callbacks', its children's.

    Empty parts are left out. A child under two paths gives the same object twice.
    """
    memo = {} if memo is None else memo
    node: dict[str, Value] = {}
    memo[id(module)] = node
    module._before_save()
    if module.state:
        node["state"] = dict(module.state)
    reactions = module._ptutils.callbacks
    named = [] if reactions is None else list(reactions.items())
    parts = [(f"callbacks.{name}", callback) for name, callback in named]
    for path, child in [*parts, *children(module)]:
        if id(child) not in memo:
            memo[id(child)] = (
                state_of(child, memo) if _is_module(child) else child.state_dict()
            )
        if memo[id(child)]:
            _insert(node, path, memo[id(child)])
    return node


def config_of(module: Any) -> dict[str, Value]:
    """Describe a Module as the config that would build it as it is at this moment.

    An object used in two places is written once; the other place is ``{ref: path}``.
    What no config can build is recorded as opaque, by class.
    """
    return _describe(module, "", {})  # type: ignore[no-any-return]


def draw(module: Any) -> str:
    """Draw the tree below a Module with its paths and settings, for a person."""
    lines = [_title(module)]
    _draw_below(module, "", lines, {id(module)})
    return "\n".join(lines)


def _is_module(value: object) -> bool:
    return hasattr(type(value), "_ptutils_is_module")


def _inside(value: object) -> Iterator[tuple[str, Any]]:
    # Only the plain containers are looked into: a subclass is somebody's own thing.
    items: Iterable[tuple[Any, Any]]
    if type(value) in (list, tuple):
        items = enumerate(value)  # type: ignore[arg-type]
    elif type(value) is dict:
        items = value.items()
    else:
        return
    for key, item in items:
        if is_child(item):
            yield str(key), item
        else:
            for inner, child in _inside(item):
                yield f"{key}.{inner}", child


def _insert(node: dict[str, Value], path: str, value: Value) -> None:
    *parents, last = path.split(".")
    for name in parents:
        node = node.setdefault(name, {})
    node[last] = value


def _describe(value: Any, path: str, memo: dict[int, str]) -> Value:
    if type(value) in _PLAIN:
        return value
    if type(value) in (list, tuple):
        items = [_describe(v, _join(path, i), memo) for i, v in enumerate(value)]
        return items if type(value) is list else tuple(items)
    if type(value) is dict:
        return {k: _describe(v, _join(path, k), memo) for k, v in value.items()}
    if isinstance(value, MetaModule) and isinstance(value, Mapping):
        return {k: _describe(v, _join(path, k), memo) for k, v in value.items()}
    target, arguments = _origin(value)
    if target is None:
        return _leaf(value)
    if id(value) in memo:
        return {"ref": memo[id(value)]}
    memo[id(value)] = path
    config: dict[str, Value] = {"class": name_for(target)}
    for name, argument in arguments.items():
        config[name] = _describe(argument, _join(path, name), memo)
    return config


def _origin(value: Any) -> tuple[Registered | None, dict[str, Value]]:
    """Find what built an object and with which arguments, children as they are now."""
    if isinstance(value, Late):
        return value.target, value.arguments
    if not _is_module(value):
        memory = recall(value)
        return (None, {}) if memory is None else memory
    internals = value._ptutils
    given = dict(internals.arguments)
    if internals.callbacks is not None and _takes(type(value), "callbacks"):
        given["callbacks"] = list(internals.callbacks.values())
        if not given["callbacks"] and not internals.arguments.get("callbacks"):
            del given["callbacks"]
    current = vars(value)
    for name in internals.replaced:
        if name not in given and _takes(type(value), name):
            given[name] = current.get(name)
    return type(value), {
        name: current[name] if holds_child(current.get(name)) else argument
        for name, argument in given.items()
    }


def _takes(kind: type[Any], name: str) -> bool:
    return kind._ptutils_takes(name)  # type: ignore[no-any-return]


def _leaf(value: Any) -> Value:
    try:
        encode(value)
    except EncodeError:
        kind = value if isinstance(value, type) or callable(value) else type(value)
        name = getattr(kind, "__qualname__", type(value).__qualname__)
        return {"class": f"{kind.__module__}.{name}", "opaque": True}
    return value


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _title(value: Any) -> str:
    name = type(value).__qualname__
    if not _is_module(value):
        text = repr(value)
        return text if "\n" not in text and len(text) <= 60 else name
    settings = ", ".join(
        f"{key}={argument!r}"
        for key, argument in value._ptutils.arguments.items()
        if isinstance(argument, _PLAIN)
    )
    return f"{name}({settings})"


def _draw_below(value: Any, indent: str, lines: list[str], seen: set[int]) -> None:
    named = list(children(value)) if _is_module(value) else []
    for position, (name, child) in enumerate(named):
        last = position == len(named) - 1
        known = id(child) in seen
        seen.add(id(child))
        text = f"{type(child).__qualname__} (shared)" if known else _title(child)
        lines.append(f"{indent}{'└── ' if last else '├── '}{name}: {text}")
        if not known:
            _draw_below(child, indent + ("    " if last else "│   "), lines, seen)
