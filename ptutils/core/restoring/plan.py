"""Plan: what of a state goes where in a tree, and what does not fit.

The tree is walked beside the state. Each *slot* is the smallest thing that is assigned
on its own: a name of a Module's own state, a tensor of a net, the whole state of any
other object. Nothing is changed here, and what is not selected is not looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ptutils.core import tree
from ptutils.core.restoring.fit import optimizer_fault, tensor_fault
from ptutils.core.restoring.glancing import glance, unread_leaves, whole
from ptutils.meta.unread import inside, known
from ptutils.meta.values import Value

__all__ = ["NetLoad", "OtherLoad", "Plan", "Slot", "plan_tree"]


@dataclass(frozen=True, kw_only=True)
class Slot:
    """Something of the tree that the state gives nothing for.

    Attributes:
        holder: A net, or any other object with a state.
        name: Of the tensor within a net.
    """

    holder: Any
    name: str = ""


@dataclass(kw_only=True)
class NetLoad:
    """What goes into a net.

    Attributes:
        path: Of the net.
        net: A torch.nn.Module.
        tensors: Values by name, as the net's ``load_state_dict`` takes them.
        buffers: Holder, name and value of buffers that its own state leaves out.
    """

    path: str
    net: Any
    tensors: OrderedDict[str, Value]
    buffers: list[tuple[Any, str, Any]]


@dataclass(kw_only=True, eq=False)
class OtherLoad:
    """What goes into an object that judges its state for itself."""

    path: str
    child: Any
    given: Value


@dataclass(kw_only=True)
class Plan:
    """What is to be assigned, and what does not fit, by path.

    Attributes:
        selects: Tells what is asked for.
        known: The paths of all slots, asked for or not.
        own: Own states of Modules, and what goes into them.
        nets: What goes into nets.
        others: What goes into other objects.
        modules: All Modules, those below before those above.
        loaded: What will have been loaded.
        missing: What the state lacks.
        unexpected: What the tree lacks.
        mismatched: What does not fit, and why.
        slots: Of what is missing or mismatched, where it can be told.
        moments: What optimizers will have forgotten.
    """

    selects: Callable[[str], bool]
    known: list[str] = field(default_factory=list)
    own: list[tuple[Any, dict[str, Value]]] = field(default_factory=list)
    nets: list[NetLoad] = field(default_factory=list)
    others: list[OtherLoad] = field(default_factory=list)
    modules: list[Any] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: dict[str, str] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    moments: list[str] = field(default_factory=list)

    def wants(self, path: str) -> bool:
        """Note a path; tell whether it is asked for."""
        self.known.append(path)
        return self.selects(path)

    def lack(self, path: str, slot: Slot, fault: str = "") -> None:
        """Note that a slot gets nothing: it is missing, or does not fit."""
        self.slots[path] = slot
        if fault:
            self.mismatched[path] = fault
        else:
            self.missing.append(path)

    def refuse(self, load: OtherLoad, fault: str) -> None:
        """Note that what was to be loaded does not fit after all."""
        self.others.remove(load)
        self.loaded.remove(load.path)
        self.lack(load.path, Slot(holder=load.child), fault)


def plan_tree(
    module: Any, state: Mapping[str, Value], selects: Callable[[str], bool]
) -> Plan:
    """Plan how ``state`` goes into the tree of ``module``.

    Args:
        module: The tree; its Modules refresh their own states, as on saving.
        state: Nested as the tree is.
        selects: Tells of each path whether it is asked for.
    """
    plan = Plan(selects=selects)
    _plan_module(module, state, "", plan, set())
    return plan


def _plan_module(
    module: Any, state: Value, path: str, plan: Plan, seen: set[int]
) -> None:
    seen.add(id(module))
    left = glance(_mapping(state, path, plan))
    _plan_own(module, left.pop("state", {}), _join(path, "state"), plan)
    for name, child in tree.parts(module):
        found, given = _take(left, name)
        if id(child) in seen:
            continue  # A shared child was loaded under its first path.
        if tree.is_module(child):
            _plan_module(child, given if found else {}, _join(path, name), plan, seen)
        else:
            seen.add(id(child))
            _plan_other(child, given, found, _join(path, name), plan)
    above = [path] if path else []
    for keys, value in unread_leaves(left):
        is_empty = isinstance(value, Mapping) and not value
        if not is_empty and plan.wants(place := ".".join([*above, *keys])):
            plan.unexpected.append(place)
    plan.modules.append(module)


def _plan_own(module: Any, state: Value, path: str, plan: Plan) -> None:
    module._before_save()  # So that what is refreshed on saving is expected here.
    given = _mapping(state, path, plan)
    own = module.state
    wanted = [k for k in {**own, **given} if plan.wants(_join(path, k))]
    missing = [k for k in wanted if k not in given]
    names = [k for k in wanted if k in given]
    if missing:
        plan.missing += [_join(path, name) for name in missing]
        plan.unexpected += [_join(path, name) for name in names if name not in own]
        names = [name for name in names if name in own]
    # Names that the owner added while running are its own; only beside a missing one
    # are they likely to be misspelt.
    plan.loaded += [_join(path, name) for name in names]
    plan.own.append((own, {name: whole(given[name]) for name in names}))


def _plan_other(child: Any, given: Value, found: bool, path: str, plan: Plan) -> None:
    current = child.state_dict()
    if tree.is_net(child):
        _plan_net(child, current, given if found else {}, path, plan)
    elif not plan.wants(path):
        pass
    elif not found:
        if current:
            plan.lack(path, Slot(holder=child))
    elif fault := optimizer_fault(child, current, given := whole(given)):
        plan.lack(path, Slot(holder=child), fault)
    else:
        plan.loaded.append(path)
        plan.others.append(OtherLoad(path=path, child=child, given=given))


def _plan_net(
    net: Any, current: Mapping[str, Value], state: Value, path: str, plan: Plan
) -> None:
    """Plan a torch.nn.Module-like child, tensor by tensor."""
    given = _mapping(state, path, plan)
    fitting: OrderedDict[str, Value] = OrderedDict()
    # The versions of the layers, without which some take the state for an old one.
    fitting._metadata = getattr(current, "_metadata", None)  # type: ignore[attr-defined]
    for name, tensor in current.items():
        place, slot = _join(path, name), Slot(holder=net, name=name)
        if not plan.wants(place):
            continue
        if name not in given:
            plan.lack(place, slot)
            continue
        value = known(given[name])
        if fault := tensor_fault(tensor, value):
            plan.lack(place, slot, fault)
        else:
            fitting[name] = value
            plan.loaded.append(place)
    rest = [name for name in given if name not in current]
    buffers = list(_planned_buffers(net, given, rest, path, plan))
    plan.nets.append(NetLoad(path=path, net=net, tensors=fitting, buffers=buffers))


def _planned_buffers(
    net: Any, given: Mapping[str, Value], names: list[str], path: str, plan: Plan
) -> Iterator[tuple[Any, str, Any]]:
    """Plan the buffers that a net's own state leaves out; none of them is missing."""
    buffers = {place: (holder, own) for place, holder, own in tree.unsaved_buffers(net)}
    for name in names:
        place = _join(path, name)
        if not plan.wants(place):
            continue
        if name in buffers:
            plan.loaded.append(place)
            yield (*buffers[name], known(given[name]))
        else:
            plan.unexpected.append(place)


def _mapping(state: Value, path: str, plan: Plan) -> Mapping[str, Value]:
    """Return ``state`` unread, or note that it is not the mapping it should be."""
    within = inside(state)
    if isinstance(within, Mapping):
        return glance(within)
    plan.mismatched[path] = (
        f"a {type(known(state)).__name__}, expected names with values"
    )
    return {}


def _take(left: dict[str, Value], name: str) -> tuple[bool, Value]:
    """Remove and return what stands under a dotted name."""
    first, dot, rest = name.partition(".")
    if first not in left:
        return False, None
    if not dot:
        return True, left.pop(first)
    if not isinstance(within := inside(left[first]), Mapping):
        return False, None
    left[first] = inner = glance(within)
    result = _take(inner, rest)
    if not inner:
        del left[first]
    return result


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
