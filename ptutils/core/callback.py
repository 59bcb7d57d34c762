"""Callback: a Module that reacts to the triggers of the training loop."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from ptutils.core.module import Module
from ptutils.meta.values import Value

__all__ = ["Callback"]


class Callback(Module):
    """Observe or change what is in flight, at named moments of training.

    Name a method after a trigger; its parameters are what it reads::

        class PrintLoss(ptutils.Callback):
            def after_update(self, step, loss):
                print(step, float(loss))

    What it changes is declared in ``writes`` and returned as a dict. The order among
    callbacks is computed: writers before readers, then ``after`` and ``before`` (names
    of callbacks), then the list. ``triggers`` names triggers of one's own. The training
    loop and what each trigger offers are drawn in :mod:`ptutils.core.loop.stages`.

    ``observes = True`` promises that it changes nothing but itself: parameters may then
    be copied for a checkpoint while it reacts between two updates.
    """

    writes: ClassVar[tuple[str, ...]] = ()
    after: ClassVar[tuple[str, ...]] = ()
    before: ClassVar[tuple[str, ...]] = ()
    triggers: ClassVar[tuple[str, ...]] = ()
    observes: ClassVar[bool] = False

    def __call__(self, trigger: str, **values: Value) -> Value:
        """React to one trigger with the values that the handler reads."""
        return getattr(self, trigger)(**values)

    def _check_metrics(self, metrics: Collection[str]) -> None:
        """Look, before anything runs, whether the metrics read are measured.

        Empty; override it to raise a ConfigError. It is left out where a stage or
        callback of one's own decides what is measured.
        """
