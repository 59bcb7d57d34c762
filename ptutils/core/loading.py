"""Loading a nested state into a tree: plan the whole, then assign."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from ptutils.core.renaming import Rename, renamed
from ptutils.core.restoring.anew import plan_anew
from ptutils.core.restoring.assigning import assign
from ptutils.core.restoring.moments import follow_parameters
from ptutils.core.restoring.part import Mode, Part
from ptutils.core.restoring.plan import Plan, plan_tree
from ptutils.core.restoring.report import LoadReport, folded
from ptutils.core.selecting import Select, require_led, selector
from ptutils.errors import StateMismatchError, nearest
from ptutils.meta.values import Value

__all__ = ["LoadReport", "Mode", "Part", "Rename", "Select", "load_tree"]

_LOG: Final = logging.getLogger("ptutils")
_KINDS: Final = ("missing", "unexpected", "mismatched")


def load_tree(module: Any, state: Mapping[str, Value], part: Part) -> LoadReport:
    """Load ``part`` of ``state`` into the tree of ``module``.

    Everything is looked at before anything is changed; an error leaves the tree and
    the random streams as they were.

    Args:
        module: The tree.
        state: Nested, of this tree or of another.
        part: What of it, as what, and what to do where it does not fit.

    Raises:
        ConfigError: If ``rename`` cannot be read.
        StateMismatchError: If the state does not fit, or ``select`` or ``rename`` names
            something that is not there.
    """
    selects = selector(part.select)
    new_by_old: Mapping[str, str | None] = {}
    if part.rename is not None:
        moved = renamed(module, state, part.rename, selects)
        state, new_by_old = moved.state, moved.new_by_old
    plan = plan_tree(module, state, selects)
    follow_parameters(plan)
    if refused := _treated(part, plan, Mode.ERROR):
        raise _mismatch(module, plan, refused)
    fresh = [
        p for kind in _treated(part, plan, Mode.INITIALIZE) for p in _paths(plan, kind)
    ]
    anew = plan_anew(module, {path: plan.slots.get(path) for path in fresh})
    if part.select is not None:
        paths = [*plan.loaded, *plan.mismatched, *fresh]
        require_led(part.select, paths, plan.known)
    assign(module, plan, anew)
    _warn(module, plan, _treated(part, plan, Mode.WARN))
    return LoadReport(
        loaded=tuple(plan.loaded),
        missing=tuple(plan.missing),
        unexpected=tuple(plan.unexpected),
        mismatched=plan.mismatched,
        initialized=(*fresh, *plan.moments),
        renamed=new_by_old,
    )


def _treated(part: Part, plan: Plan, mode: Mode) -> list[str]:
    """Return the kinds of what does not fit, among those treated by ``mode``."""
    return [k for k in _KINDS if getattr(part, k) is mode and getattr(plan, k)]


def _paths(plan: Plan, kind: str) -> list[str]:
    return list(getattr(plan, kind))


def _warn(module: Any, plan: Plan, kinds: list[str]) -> None:
    if kinds:
        paths = [(kind, _paths(plan, kind)) for kind in kinds]
        _LOG.warning(
            "this %s was loaded in part: %s",
            type(module).__qualname__,
            "; ".join(f"{kind} {len(found)}: {folded(found)}" for kind, found in paths),
        )


def _mismatch(module: Any, plan: Plan, refused: list[str]) -> StateMismatchError:
    name = type(module).__qualname__
    got, fixes = [], []
    for kind in refused:
        if kind == "mismatched":
            got += [f"{path}: {why}" for path, why in plan.mismatched.items()]
        else:
            got.append(f"{kind} {', '.join(_paths(plan, kind))}")
    for path in plan.unexpected:
        if guess := nearest(path, plan.missing):
            fixes.append(f"rename={{{path!r}: {guess!r}}}")
    fixes.append("leave the tree as it was, or load what fits with strict=False")
    return StateMismatchError(
        f"cannot load state into this {name}",
        expected="a state with the paths and shapes of the tree",
        got="\n            ".join(got),
        fix=", or ".join(fixes),
    )
