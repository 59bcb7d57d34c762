"""Moments: what an optimizer knows of a parameter goes where the parameter goes.

A running mean of the gradients of one parameter means nothing to another. Where a
parameter is not loaded because the state lacks it or has another shape, what the
optimizer's stored state says of it is left out, and begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptutils.core import tree
from ptutils.core.restoring.fit import is_optimizer, moments_fault
from ptutils.core.restoring.plan import OtherLoad, Plan
from ptutils.meta.values import Value

__all__ = ["follow_parameters"]


def follow_parameters(plan: Plan) -> None:
    """Leave out of the plan what is known of parameters that are not loaded.

    What torch's own optimizers know of the others has to have their shape.
    """
    fresh = _not_loaded(plan)
    for load in list(plan.others):
        known = load.given.get("state") if is_optimizer(load.child) else None
        if isinstance(known, Mapping):
            _follow(load, dict(known), fresh, plan)


def _follow(
    load: OtherLoad, known: dict[Value, Value], fresh: set[int], plan: Plan
) -> None:
    is_torchs = type(load.child).__module__.startswith("torch.")
    for key, parameter in _parameter_by_key(load).items():
        if key not in known:
            continue
        if id(parameter) in fresh:
            del known[key]
            plan.moments.append(f"{load.path}.state.{key}")
        elif is_torchs and (fault := moments_fault(parameter, known[key])):
            plan.refuse(load, f"parameter {key} has {fault}")
            return
    load.given = {**load.given, "state": known}


def _not_loaded(plan: Plan) -> set[int]:
    """Return the ids of parameters that are asked for and get nothing."""
    lacking = [slot for slot in plan.slots.values() if tree.is_net(slot.holder)]
    if not lacking:
        return set()
    parameters = {
        id(load.net): dict(load.net.named_parameters(remove_duplicate=False))
        for load in plan.nets
    }
    # A parameter that is tied to a loaded one is loaded.
    loaded = {
        id(parameters[id(load.net)].get(name))
        for load in plan.nets
        for name in load.tensors
    }
    return {id(parameters[id(s.holder)].get(s.name)) for s in lacking} - loaded


def _parameter_by_key(load: OtherLoad) -> dict[Value, Any]:
    """Return an optimizer's parameters by the numbers that its stored state has."""
    ours = [each for group in load.child.param_groups for each in group["params"]]
    theirs = [key for group in load.given["param_groups"] for key in group["params"]]
    return dict(zip(theirs, ours, strict=True))
