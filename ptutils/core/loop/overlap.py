"""Overlap: whether parameters stay as they are from the end of a step to its Update.

If so, a checkpoint may copy them while the next step goes forward and backward.
"""

from __future__ import annotations

from collections.abc import Iterable

from ptutils.core.loop.compiling import walk
from ptutils.core.loop.stage import Stage
from ptutils.core.loop.stages import Fit, FitBatch, Gradient, Update
from ptutils.meta.callbacks import Callbacks
from ptutils.meta.dispatch import handlers_of

__all__ = ["leaves_parameters"]

_OURS = "ptutils."


def leaves_parameters(root: Stage, registries: Iterable[Callbacks]) -> bool:
    """Tell whether only the stage Update changes parameters in a step.

    That is known of the default stages, of callbacks that ptutils brings, and of those
    that promise to observe; what else a person wrote may do anything.

    Args:
        root: The loop.
        registries: Whose callbacks react in it.
    """
    fits = [(name, stage) for name, stage in walk(root, "") if isinstance(stage, Fit)]
    if len(fits) != 1 or type(fits[0][1]) is not Fit:
        return False
    triggers: set[str] = set()
    for name, step in fits[0][1].stages():
        triggers.update(step.triggers(name)[0])
        inside = list(step.stages())
        kinds = [type(stage) for _, stage in inside]
        if type(step) is not FitBatch or kinds != [Gradient, Update]:
            return False
        (gradient, first), (update, second) = inside
        opening, closing = first.triggers(gradient)
        triggers.update(opening, closing, second.triggers(update)[0])
    return not any(
        handler.trigger in triggers and not _observes(handler.owner)
        for registry in registries
        for name, callback in registry.items()
        for handler in handlers_of(callback, name)
    )


def _observes(callback: object) -> bool:
    is_ours = type(callback).__module__.startswith(_OURS)
    return is_ours or getattr(callback, "observes", False)
