"""Loading a nested state into a tree: plan the whole, then assign.

The tree is walked beside the state. Each *slot* is the smallest thing that is assigned
on its own: a name of a Module's own state, a tensor of a net, the whole state of any
other object.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ptutils.core import tree
from ptutils.core.renaming import Rename, renamed
from ptutils.core.selecting import Select, patterns_of, require_leading, selector
from ptutils.errors import StateMismatchError, nearest
from ptutils.meta.values import Document, Value

__all__ = ["LoadReport", "Rename", "Select", "load_part", "load_tree"]


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
    foreign: list[tuple[str, Any, Value, Value]] = field(default_factory=list)
    assign: list[Callable[[], object]] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, str] = field(default_factory=dict)

    def report(self) -> LoadReport:
        return LoadReport(
            loaded=tuple(self.loaded),
            missing=tuple(self.missing),
            unexpected=tuple(self.unexpected),
            mismatched=tuple(self.mismatched),
        )


def load_tree(
    module: Any,
    state: Mapping[str, Value],
    *,
    strict: bool,
    select: Select | None,
    rename: Rename | None,
) -> LoadReport:
    """Load ``state`` into the tree of ``module``; see ``Module.load_state_dict``."""
    plan = _Plan(selector(select))
    if rename is not None:
        state = renamed(module, state, rename)
    _plan_module(module, state, "", plan, set())
    if strict and (plan.missing or plan.unexpected or plan.mismatched):
        raise _mismatch(module, plan)
    _assign(module, plan)
    return plan.report()


def load_part(
    module: Any,
    state: Mapping[str, Value],
    *,
    select: Select | None,
    rename: Rename | None,
) -> LoadReport:
    """Load what there is of a state into a tree that may be another than it was of.

    What the state lacks stays as it is in the tree, and what the tree lacks is left
    out; the report names both.

    Args:
        module: The tree.
        state: Of another tree.
        select: As ``Module.load_state_dict`` takes it.
        rename: Likewise.

    Raises:
        StateMismatchError: If a selected path is there on both sides but does not fit,
            or if ``select`` or ``rename`` names something that is not there; nothing
            is changed.
    """
    if not (select is None or callable(select)):
        select = patterns_of(select)
    plan = _Plan(selector(select))
    if rename is not None:
        if not callable(rename):
            require_leading("rename", rename, list(_leaves(state, "")))
        state = renamed(module, state, rename)
    _plan_module(module, state, "", plan, set())
    names = [select] if callable(select) else select or ["*"]
    require_leading("select", names, [*plan.loaded, *plan.mismatched])
    report = plan.report()
    plan.missing, plan.unexpected = [], []
    if plan.mismatched:
        raise _mismatch(module, plan)
    _assign(module, plan)
    return report


def _assign(module: Any, plan: _Plan) -> None:
    _load_foreign(module, plan.foreign)
    for assign in plan.assign:
        assign()


def _plan_module(
    module: Any, state: Value, path: str, plan: _Plan, seen: set[int]
) -> None:
    seen.add(id(module))
    left = dict(_mapping(state, path, plan))
    _plan_own(module, left.pop("state", {}), _join(path, "state"), plan)
    for name, child in tree.parts(module):
        found, given = _take(left, name)
        if id(child) in seen:
            continue  # A shared child was loaded under its first path.
        if tree.is_module(child):
            _plan_module(child, given if found else {}, _join(path, name), plan, seen)
        else:
            seen.add(id(child))
            _plan_foreign(child, given, found, _join(path, name), plan)
    for name in _leaves(left, path):
        if plan.selects(name):
            plan.unexpected.append(name)
    plan.assign.append(module._after_load)


def _plan_own(module: Any, state: Value, path: str, plan: _Plan) -> None:
    module._before_save()  # So that what is refreshed on saving is expected here.
    given = _mapping(state, path, plan)
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
    if tree.is_net(child):
        _plan_net(child, current, given if found else {}, path, plan)
    elif not plan.selects(path):
        pass
    elif not found:
        if current:
            plan.missing.append(path)
    elif fault := _optimizer_fault(child, current, given):
        plan.mismatched[path] = fault
    else:
        plan.loaded.append(path)
        plan.foreign.append((path, child, given, current))


def _plan_net(
    net: Any, current: Mapping[str, Value], state: Value, path: str, plan: _Plan
) -> None:
    """Plan a torch.nn.Module-like child, tensor by tensor."""
    given = _mapping(state, path, plan)
    fitting: OrderedDict[str, Value] = OrderedDict()
    # The versions of the layers, without which some take the state for an old one.
    fitting._metadata = getattr(current, "_metadata", None)  # type: ignore[attr-defined]
    for name, tensor in current.items():
        place = _join(path, name)
        if not plan.selects(place):
            continue
        if name not in given:
            plan.missing.append(place)
        elif fault := _tensor_fault(tensor, given[name]):
            plan.mismatched[place] = fault
        else:
            fitting[name] = given[name]
            plan.loaded.append(place)
    rest = [name for name in given if name not in current]
    _plan_buffers(net, {name: given[name] for name in rest}, path, plan)
    if fitting:
        plan.assign.append(lambda: net.load_state_dict(fitting, strict=False))


def _plan_buffers(net: Any, given: Mapping[str, Value], path: str, plan: _Plan) -> None:
    """Plan the buffers that a net's own state leaves out; none of them is missing."""
    buffers = {place: (holder, own) for place, holder, own in tree.unsaved_buffers(net)}
    for name, tensor in given.items():
        place = _join(path, name)
        if not plan.selects(place):
            continue
        if name in buffers:
            plan.loaded.append(place)
            plan.assign.append(partial(_set_buffer, *buffers[name], tensor))
        else:
            plan.unexpected.append(place)


def _set_buffer(holder: Any, name: str, tensor: Any) -> None:
    """Put a copy of ``tensor`` where a buffer is, on its device, whatever its shape."""
    present = getattr(holder, name)
    device = tensor.device if present is None else present.device
    setattr(holder, name, tensor.detach().clone().to(device))


def _load_foreign(module: Any, foreign: list[tuple[str, Any, Value, Value]]) -> None:
    """Load what judges its state for itself: all of it, or nothing."""
    for position, (path, child, given, _) in enumerate(foreign):
        try:
            child.load_state_dict(given)
        except Exception as error:
            for _, earlier, _, current in reversed(foreign[: position + 1]):
                earlier.load_state_dict(current)
            raise StateMismatchError(
                f"cannot load state into this {type(module).__qualname__}",
                path=path,
                expected=f"a state that {type(child).__qualname__} accepts",
                got=f"{type(error).__name__}: {error}",
                fix="leave it out with select=, or correct the state",
            ) from error


def _mapping(state: Value, path: str, plan: _Plan) -> Mapping[str, Value]:
    """Return ``state``, or note that it is not the mapping it should be."""
    if isinstance(state, Mapping):
        return state
    plan.mismatched[path] = f"a {type(state).__name__}, expected names with values"
    return {}


def _optimizer_fault(optimizer: Any, current: Value, given: Value) -> str:
    """Say why an optimizer's state does not fit; other objects judge for themselves."""
    if not isinstance(current, Mapping) or "param_groups" not in current:
        return ""
    if not isinstance(given, Mapping) or "param_groups" not in given:
        return "no param_groups"
    ours = [len(group["params"]) for group in current["param_groups"]]
    theirs = [len(group["params"]) for group in given["param_groups"]]
    if ours != theirs:
        return f"groups of {theirs} parameters, expected {ours}"
    return _settings_fault(getattr(optimizer, "defaults", {}), given["param_groups"])


def _settings_fault(defaults: Mapping[str, Value], groups: list[Document]) -> str:
    # Versions of one optimizer add settings, and schedulers leave theirs; but one that
    # lacks some of ours and has others instead is another kind of optimizer.
    for group in groups:
        lacks = [name for name in defaults if name not in group]
        has = [name for name in group if name not in defaults and name != "params"]
        if lacks and has:
            return f"settings {', '.join(has)}, expected {', '.join(lacks)}"
    return ""


def _tensor_fault(ours: Value, theirs: Value) -> str:
    """Say why a tensor does not fit; a lazy one takes any shape."""
    expected, got = _shape(ours), _shape(theirs)
    if expected is None:
        return ""
    if got != expected:
        return f"shape {got}, expected {expected}"
    if theirs.dtype != ours.dtype:
        return f"dtype {theirs.dtype}, expected {ours.dtype}"
    return ""


def _shape(value: Value) -> tuple[int, ...] | None:
    try:
        return tuple(value.shape)
    except (AttributeError, RuntimeError):  # No tensor; a lazy one.
        return None


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


def _leaves(
    value: Value, path: str, above: frozenset[int] = frozenset()
) -> Iterator[str]:
    named = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
    if named and id(value) not in above:  # A cycle of a tree is one of its state.
        for name, item in value.items():
            yield from _leaves(item, _join(path, name), above | {id(value)})
    else:
        yield path


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
    fixes.append("leave the tree as it was, or load what fits with strict=False")
    return StateMismatchError(
        f"cannot load state into this {name}",
        expected="a state with the paths and shapes of the tree",
        got="\n            ".join(got),
        fix=", or ".join(fixes),
    )


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
