"""Assigning what was planned: all of it, or nothing.

What may be refused comes first, and each step notes how it is undone. An error leaves
every tensor, every own state and the global random streams as they were.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from ptutils.core.backend import load_backend
from ptutils.core.restoring.anew import Anew, Layer
from ptutils.core.restoring.fit import shape_of
from ptutils.core.restoring.plan import NetLoad, OtherLoad, Plan
from ptutils.errors import StateMismatchError
from ptutils.meta.values import Value

__all__ = ["assign"]

_LOADING = ("load_state_dict", "_load_from_state_dict", "set_extra_state")
_HOOKS = ("_load_state_dict_pre_hooks", "_load_state_dict_post_hooks")


def assign(module: Any, plan: Plan, anew: Anew) -> None:
    """Change the tree of ``module`` as planned.

    Args:
        module: The tree.
        plan: What goes where.
        anew: What is initialized; it draws from the global random streams.

    Raises:
        StateMismatchError: If a part refuses what it is given; nothing has changed.
    """
    reacting = [each for each in plan.modules if _reacts(each)]
    steps = list(_refusable(plan, anew))
    with ExitStack() as undo:
        if reacting or steps:
            backend = load_backend()
            undo.callback(backend.set_random_state, backend.random_state())
        for path, child, step in steps:
            with _refusal(module, path, child):
                step(undo)
        for own, values in plan.own:
            undo.callback(_put_back, own, dict(own))
            own.update(values)
        for load in plan.nets:
            if not _has_own_code(load.net):
                # What nothing can follow that fails is not copied first.
                _load_net(load, undo if reacting else None)
        for each in reacting:
            each._after_load()
        undo.pop_all()


def _refusable(
    plan: Plan, anew: Anew
) -> Iterator[tuple[str, Any, Callable[[ExitStack], None]]]:
    """Yield the steps that run somebody else's code, with path and object."""
    for layer in anew.layers:
        yield layer.path, layer.layer, partial(_reset, layer)
    for path, optimizer in anew.optimizers.items():
        yield path, optimizer, partial(_forget, optimizer)
    for load in plan.others:
        yield load.path, load.child, partial(_load_other, load)
    for net in plan.nets:
        if _has_own_code(net.net):
            yield net.path, net.net, partial(_load_net, net)


@contextmanager
def _refusal(module: Any, path: str, child: Any) -> Iterator[None]:
    """Say where it was if somebody else's code raises inside."""
    try:
        yield
    except Exception as error:
        raise StateMismatchError(
            f"cannot load state into this {type(module).__qualname__}",
            path=path,
            expected=f"what {type(child).__qualname__} accepts",
            got=f"{type(error).__name__}: {error}",
            fix="leave it out with select=, or correct the state",
        ) from error


def _forget(optimizer: Any, undo: ExitStack) -> None:
    undo.callback(optimizer.load_state_dict, optimizer.state_dict())
    optimizer.state.clear()


def _reset(layer: Layer, undo: ExitStack) -> None:
    for tensor, value in layer.held().values():
        undo.callback(tensor.copy_, value)
    layer.reset()


def _load_other(load: OtherLoad, undo: ExitStack) -> None:
    held = load.child.state_dict()
    if not _is_of_torch(type(load.child)):  # Torch's replace what they hold.
        held = copy.deepcopy(held)
    undo.callback(load.child.load_state_dict, held)
    load.child.load_state_dict(load.given)


def _load_net(load: NetLoad, undo: ExitStack | None) -> None:
    if undo is not None:
        undo.callback(load.net.load_state_dict, _copied(load.net), strict=False)
    load.net.load_state_dict(load.tensors, strict=False)
    for holder, name, value in load.buffers:
        present = getattr(holder, name)
        if undo is not None:
            undo.callback(setattr, holder, name, present)
        device = value.device if present is None else present.device
        setattr(holder, name, value.detach().clone().to(device))


def _copied(net: Any) -> Any:
    """Return a copy of a net's state, but for what has no shape yet."""
    state = net.state_dict()
    for name, value in list(state.items()):
        if hasattr(value, "detach"):
            if shape_of(value) is None:
                del state[name]
            else:
                state[name] = value.detach().clone()
        else:
            state[name] = copy.deepcopy(value)
    return state


def _put_back(own: Any, values: dict[str, Value]) -> None:
    own.clear()
    own.update(values)


def _reacts(module: Any) -> bool:
    """Tell whether a Module fills the hook that is called after loading."""
    kinds = [kind for kind in type(module).__mro__ if "_after_load" in vars(kind)]
    return len(kinds) > 1


def _has_own_code(net: Any) -> bool:
    """Tell whether loading a net runs code that is not torch's: it may refuse."""
    return any(
        any(getattr(layer, name) for name in _HOOKS)
        or not all(_is_of_torch(getattr(type(layer), name)) for name in _LOADING)
        for layer in net.modules()
    )


def _is_of_torch(code: Any) -> bool:
    return bool(code.__module__.startswith("torch."))
