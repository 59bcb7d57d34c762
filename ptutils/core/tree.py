"""Walking a tree of Modules: children, paths, nested state, config, drawing.

A child is an attribute that is a Module or that has ``state_dict`` and
``load_state_dict``; also such objects inside lists, tuples and dicts. Children are
addressed by attribute name, index or key, joined by dots.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from ptutils.core.building.late import Late
from ptutils.core.building.signature import by_name, signature_of, spread
from ptutils.core.building.trust import name_for
from ptutils.errors import ConfigError, EncodeError
from ptutils.meta.codec import encode
from ptutils.meta.config import Config
from ptutils.meta.metamodule import MetaModule
from ptutils.meta.registry import Registered, recall
from ptutils.meta.values import Value

__all__ = [
    "children",
    "config_of",
    "draw",
    "holds_child",
    "is_child",
    "is_module",
    "is_net",
    "is_plain",
    "parts",
    "unsaved_buffers",
    "walk",
]

_PRIVATE = "_ptutils"
_CONTAINERS: Final = frozenset({list, tuple, dict})
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes})


def is_child(value: object) -> bool:
    """Tell whether ``value`` is part of a tree: it has state to save and to load.

    A Config is not: it says what to build and never changes after the build.
    """
    kind: Any = type(value)
    return kind not in _PLAIN and _has_state(kind)


@lru_cache(1 << 12)
def _has_state(kind: type[Any]) -> bool:
    if kind is Config:
        return False
    return hasattr(kind, "state_dict") and hasattr(kind, "load_state_dict")


def is_plain(values: Iterable[object]) -> bool:
    """Tell quickly whether all of ``values`` are plain, so that none is a child."""
    return _PLAIN.issuperset(map(type, values))


def is_module(value: object) -> bool:
    """Tell whether ``value`` is a Module of ours, without importing Module."""
    return hasattr(type(value), "_ptutils_is_module")


def is_net(value: object) -> bool:
    """Tell whether ``value`` has a state of named tensors, as torch.nn.Module has.

    A metric of torchmetrics is one in name only: it judges its state for itself.
    """
    return hasattr(value, "named_parameters") and not hasattr(value, "compute")


def holds_child(value: object) -> bool:
    """Tell whether ``value`` is a child, or a list, tuple or dict that holds one."""
    return is_child(value) or any(True for _ in _inside(value))


def children(module: object) -> Iterator[tuple[str, Any]]:
    """Yield each child of a Module with its dotted name, in order of assignment."""
    for name, value in list(vars(module).items()):
        kind: Any = type(value)
        if kind in _PLAIN or name == _PRIVATE:
            continue
        if _has_state(kind):
            yield name, value
        elif kind in _CONTAINERS:
            for inner, child in _inside(value):
                yield f"{name}.{inner}", child


def parts(module: Any) -> list[tuple[str, Any]]:
    """Return what a Module's state has beside its own: its callbacks, its children."""
    reactions = module._ptutils.callbacks
    named = [] if reactions is None else list(reactions.items())
    return [
        *((f"callbacks.{name}", item) for name, item in named if is_child(item)),
        *children(module),
    ]


def walk(root: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every object of a tree once, depth first, with its dotted path."""
    seen: set[int] = set()

    def visit(value: object, here: str) -> Iterator[tuple[str, Any]]:
        if id(value) in seen:
            return
        seen.add(id(value))
        yield here, value
        if is_module(value):
            for name, child in children(value):
                yield from visit(child, f"{here}.{name}" if here else name)

    return visit(root, path)


def config_of(module: Any) -> dict[str, Value]:
    """Describe a Module as the config that would build it as it is at this moment.

    An object used in two places is written once; the other place is ``{ref: path}``.
    What no config can build is recorded as opaque, by class.
    """
    return _Description().of(module, "")  # type: ignore[no-any-return]


def draw(module: Any) -> str:
    """Draw the tree below a Module with its paths and settings, for a person."""
    lines = [_title(module)]
    _draw_below(module, "", lines, {id(module)})
    return "\n".join(lines)


def unsaved_buffers(net: Any) -> list[tuple[str, Any, str]]:
    """Return the buffers that a net's own state leaves out: path, holder, name.

    torch calls them non-persistent. The next step may depend on them all the same.
    """
    return [
        (f"{path}.{name}" if path else name, holder, name)
        for path, holder in net.named_modules()
        for name in sorted(getattr(holder, "_non_persistent_buffers_set", ()))
    ]


def _inside(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    # Only the plain containers are looked into: a subclass is somebody's own thing.
    if type(value) not in (dict, list, tuple):
        return
    items = value.values() if type(value) is dict else value
    if is_plain(items) or any(value is outer for outer in above):
        return
    # As they are now: another thread may go on writing to them.
    for key, item in list(value.items() if type(value) is dict else enumerate(value)):
        if is_child(item):
            yield str(key), item
        else:
            for inner, child in _inside(item, (*above, value)):
                yield f"{key}.{inner}", child


class _Description:
    """One walk over a tree's arguments, writing each object down once."""

    def __init__(self) -> None:
        self.path_by_id: dict[int, str] = {}
        self.above: list[Any] = []

    def of(self, value: Any, path: str) -> Value:
        """Describe what stands at ``path``."""
        if type(value) in _PLAIN:
            return value
        if _is_container(value):
            return self._container(value, path)
        if id(value) in self.path_by_id:
            return {"ref": self.path_by_id[id(value)]}
        target, arguments = _origin(value)
        if target is None and _is_storable(value):
            return value
        self.path_by_id[id(value)] = path
        if target is None:
            return {"class": _class_of(value), "opaque": True}
        settings = {
            name: self.of(argument, _join(path, name))
            for name, argument in arguments.items()
        }
        return {"class": name_for(target), **settings}

    def _container(self, value: Any, path: str) -> Value:
        if any(value is outer for outer in self.above):
            raise ConfigError(
                "cannot write down a container that contains itself",
                path=path,
                expected="arguments that end somewhere",
                got=type(value).__name__,
                fix="pass the parts, and join them in the constructor",
            )
        self.above.append(value)
        described: Value
        if isinstance(value, Mapping):
            described = {k: self.of(v, _join(path, k)) for k, v in value.items()}
        elif is_plain(value):
            described = type(value)(value)
        else:
            described = type(value)(
                self.of(item, _join(path, index)) for index, item in enumerate(value)
            )
        self.above.pop()
        return described


def _is_container(value: Any) -> bool:
    if isinstance(value, MetaModule):
        return isinstance(value, Mapping)
    return type(value) in (list, tuple, dict)


def _origin(value: Any) -> tuple[Registered | None, dict[str, Value]]:
    """Find what built an object and with which arguments, children as they are now."""
    if isinstance(value, Late):
        return value.target, value.arguments
    if not is_module(value):
        return recall(value) or (None, {})
    internals, kind, current = value._ptutils, type(value), vars(value)
    given = {
        name: _now(argument, current.get(name))
        for name, argument in internals.arguments.items()
        if name in current or name not in internals.replaced
    }
    signature = signature_of(kind)
    takes = by_name(signature)
    takes_any = spread(signature, inspect.Parameter.VAR_KEYWORD) is not None
    for name, child in current.items():
        # A default that was replaced, or was changed somewhere below, is no default.
        is_other = name in internals.replaced or (
            name not in given and _was_changed(child)
        )
        if is_other and (takes_any or name in takes):
            given[name] = child
    if internals.callbacks is not None and "callbacks" in takes:
        given["callbacks"] = internals.callbacks.arguments()
    if "callbacks" in takes and not given.get("callbacks", True):
        del given["callbacks"]  # None at all is what leaving it out says.
    return kind, given


def _was_changed(child: Any) -> bool:
    return is_module(child) and any(
        is_module(below) and below._ptutils.replaced for _, below in walk(child)
    )


def _now(argument: Value, current: Value) -> Value:
    """Return the attribute in place of the argument where children are concerned."""
    is_emptied = type(current) in (list, dict) and holds_child(argument)
    return current if is_emptied or holds_child(current) else argument


def _is_storable(value: Any) -> bool:
    try:
        encode(value)
    except EncodeError:
        return False
    return True


def _class_of(value: Any) -> str:
    # A function says its own name; of all else, the class's is what a person knows.
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _title(value: Any) -> str:
    name = type(value).__qualname__
    if not is_module(value):
        text = repr(value)
        return text if "\n" not in text and len(text) <= 60 else name
    settings = ", ".join(
        f"{key}={argument!r}"
        for key, argument in value._ptutils.arguments.items()
        if type(argument) in _PLAIN
    )
    return f"{name}({settings})"


def _draw_below(value: Any, indent: str, lines: list[str], seen: set[int]) -> None:
    named = list(children(value)) if is_module(value) else []
    for position, (name, child) in enumerate(named):
        last = position == len(named) - 1
        known = id(child) in seen
        seen.add(id(child))
        text = f"{type(child).__qualname__} (shared)" if known else _title(child)
        lines.append(f"{indent}{'└── ' if last else '├── '}{name}: {text}")
        if not known:
            _draw_below(child, indent + ("    " if last else "│   "), lines, seen)
