"""Changed settings win over a loaded State.

Optimizers and schedulers keep their settings in their state. A run that is resumed or
branched with another learning rate would go on with the old one; here the changed
settings are kept while the State is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ptutils.core import tree
from ptutils.meta.config import Config
from ptutils.meta.values import Value

__all__ = ["changes_kept"]

_PROGRESS = frozenset(
    {
        "_get_lr_called_within_step",
        "_is_initial",
        "_last_lr",
        "_schedulers",
        "_step_count",
        "T_cur",
        "T_i",
        "base_lrs",
        "best",
        "cooldown_counter",
        "last_epoch",
        "num_bad_epochs",
        "optimizer",
    }
)
"""What torch's schedulers hold besides what follows from their settings."""


@contextmanager
def changes_kept(module: Any, before: Mapping[str, Value]) -> Iterator[None]:
    """Load a State inside; settings that are not as ``before`` stay as they were built.

    Args:
        module: The tree, newly built.
        before: The config that the State was saved under.
    """
    changed = Config(tree.config_of(module)).diff(before)
    optimizers, schedulers = [], []
    rescheduled: set[int] = set()
    for path, child in tree.walk(module):
        names = _names_below(path, changed)
        if hasattr(child, "param_groups"):
            groups = [dict(group) for group in child.param_groups]
            optimizers.append((child, groups, names))
        elif hasattr(child, "_last_lr"):
            schedulers += [(each, _settings_of(each, names)) for each in _flat(child)]
            rescheduled |= {id(child.optimizer)} if names else set()
    yield
    for optimizer, groups, names in optimizers:
        lent = _lent(optimizer, groups) if id(optimizer) in rescheduled else set()
        for group, built in zip(optimizer.param_groups, groups, strict=True):
            _restore_group(group, built, names | lent)
    for scheduler, settings in schedulers:
        vars(scheduler).update(settings)
        _follow_optimizer(scheduler)


def _names_below(path: str, changed: Mapping[str, Value]) -> set[str]:
    """Return the first names, below ``path``, of the paths that changed."""
    prefix = f"{path}."
    return {
        name.removeprefix(prefix).partition(".")[0]
        for name in changed
        if name.startswith(prefix)
    }


def _flat(scheduler: Any) -> Iterator[Any]:
    """Yield a scheduler, and those that it chains."""
    yield scheduler
    for each in getattr(scheduler, "_schedulers", ()):
        yield from _flat(each)


def _settings_of(scheduler: Any, changed: set[str]) -> dict[str, Any]:
    """Return what a scheduler was built with, if any of it changed."""
    if not changed:
        return {}
    return {
        name: value for name, value in vars(scheduler).items() if name not in _PROGRESS
    }


def _lent(optimizer: Any, groups: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the names under which schedulers keep settings with an optimizer."""
    own: set[str] = {"params", *optimizer.defaults}
    return {"lr", *groups[0]} - (own - {"lr"})


def _restore_group(
    group: dict[str, Any], built: Mapping[str, Any], changed: set[str]
) -> None:
    for name in (changed & built.keys()) - {"lr", "initial_lr"}:
        group[name] = built[name]
    if "lr" not in changed:
        return
    old, new = group.get("initial_lr"), built.get("initial_lr", built["lr"])
    if old is None:
        group["lr"] = new
    elif old != new:
        # A scheduler has scaled the rate: keep the scale, change the base.
        group["lr"] = group["lr"] / old * new if old else new
        group["initial_lr"] = new


def _follow_optimizer(scheduler: Any) -> None:
    groups: Sequence[Mapping[str, Any]] = scheduler.optimizer.param_groups
    if hasattr(scheduler, "base_lrs"):
        scheduler.base_lrs = [group["initial_lr"] for group in groups]
