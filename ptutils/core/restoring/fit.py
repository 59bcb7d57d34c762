"""Why a stored value does not fit what the tree has in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ptutils.meta.values import Document, Value

__all__ = [
    "is_optimizer",
    "moments_fault",
    "optimizer_fault",
    "shape_of",
    "tensor_fault",
]

_PARAMETER_SHAPED: Final = frozenset(
    {
        "acc_delta",
        "ax",
        "exp_avg",
        "exp_avg_sq",
        "exp_inf",
        "grad_avg",
        "max_exp_avg_sq",
        "momentum_buffer",
        "prev",
        "square_avg",
        "step_size",
        "sum",
    }
)
"""What torch's optimizers keep in the shape of the parameter it is about.

Source:
    ``torch/optim/*.py`` of PyTorch 2.13.
"""


def tensor_fault(ours: Value, theirs: Value) -> str:
    """Say why a tensor does not fit, or ``""``; a lazy one takes any shape."""
    expected, got = shape_of(ours), shape_of(theirs)
    if expected is None:
        return ""
    if got != expected:
        return f"shape {got}, expected {expected}"
    for name in ("dtype", "layout"):
        wanted, found = getattr(ours, name), getattr(theirs, name, None)
        if found != wanted:
            return f"{name} {found}, expected {wanted}"
    return ""


def shape_of(value: Value) -> tuple[int, ...] | None:
    """Return the shape of a tensor; None of anything else, and of a lazy one."""
    try:
        return tuple(value.shape)
    except (AttributeError, RuntimeError):
        return None


def is_optimizer(child: Any) -> bool:
    """Tell whether ``child`` keeps a state for each parameter, as torch's do."""
    return hasattr(child, "param_groups") and hasattr(child, "state")


def optimizer_fault(optimizer: Any, current: Value, given: Value) -> str:
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


def moments_fault(parameter: Any, moments: Mapping[str, Value]) -> str:
    """Say why what an optimizer of torch knows of a parameter is not of this one."""
    expected = shape_of(parameter)
    for name in _PARAMETER_SHAPED.intersection(moments):
        if expected != (got := shape_of(moments[name])):
            return f"{name} of shape {got}, expected {expected}"
    return ""


def _settings_fault(defaults: Mapping[str, Value], groups: list[Document]) -> str:
    # Versions of one optimizer add settings, and schedulers leave theirs; but one that
    # lacks some of ours and has others instead is another kind of optimizer.
    for group in groups:
        lacks = [name for name in defaults if name not in group]
        has = [name for name in group if name not in defaults and name != "params"]
        if lacks and has:
            return f"settings {', '.join(has)}, expected {', '.join(lacks)}"
    return ""
