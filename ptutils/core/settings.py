"""Changed settings win over a loaded State.

Optimizers and schedulers keep their settings in their state. A run that is resumed or
branched with another learning rate would go on with the old one; here the changed
settings are written over what was loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptutils.core import tree
from ptutils.meta.config import Config
from ptutils.meta.values import Value

__all__ = ["apply_changes"]


def apply_changes(module: Any, before: Mapping[str, Value]) -> None:
    """Write the settings in which a tree differs from ``before`` into its children.

    Args:
        module: The tree, its State loaded.
        before: The config that the State was saved under.
    """
    after = Config(tree.config_of(module))
    changed = after.diff(before)
    schedulers = []
    for path, child in tree.walk(module):
        prefix = f"{path}."
        names = {
            name.removeprefix(prefix).partition(".")[0]
            for name in changed
            if name.startswith(prefix)
        }
        # A setting that was taken away leaves what the State says.
        new_by_name = {
            name: after[prefix + name] for name in names if prefix + name in after
        }
        if hasattr(child, "param_groups"):
            _change_optimizer(child, new_by_name)
        elif hasattr(child, "base_lrs"):
            _change_scheduler(child, new_by_name)
            schedulers.append(child)
    for scheduler in schedulers:
        _follow_optimizer(scheduler)


def _change_optimizer(optimizer: Any, new_by_name: Mapping[str, Value]) -> None:
    for group in optimizer.param_groups:
        for name, value in new_by_name.items():
            if name == "lr" and "initial_lr" in group:
                # A scheduler has scaled the rate: keep the scale, change the base.
                old = group["initial_lr"]
                group["lr"] = group["lr"] / old * value if old else value
                group["initial_lr"] = value
            elif name in group:
                group[name] = value


def _change_scheduler(scheduler: Any, new_by_name: Mapping[str, Value]) -> None:
    for name, value in new_by_name.items():
        if name in vars(scheduler):
            setattr(scheduler, name, value)


def _follow_optimizer(scheduler: Any) -> None:
    groups = scheduler.optimizer.param_groups
    scheduler.base_lrs = [group["initial_lr"] for group in groups]
