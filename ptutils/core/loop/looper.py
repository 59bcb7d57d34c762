"""Looper: the root Stage, epoch after epoch until the schedule is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from ptutils.core.loop.clock import Clock
from ptutils.core.loop.stage import Stage, Unwind, Values
from ptutils.core.loop.stages import Epoch
from ptutils.errors import StopTraining

__all__ = ["Looper"]


class Looper(Stage):
    """The loop as a tree of stages; :mod:`ptutils.core.loop.stages` draws it."""

    defaults: ClassVar[Mapping[str, Callable[[], Stage]]] = {"epoch": Epoch}

    def run(self, values: Values) -> None:
        """Run epochs until the schedule is over."""
        # Whatever was drawn since the process began, for weights, workers or callbacks,
        # is forgotten here: the next random number is the one that would have come.
        values["settle"]()
        clock: Clock = values["clock"]
        try:
            while self._is_inside() or not (clock.reason or clock.is_over(values)):
                for part in self.parts:
                    part(values)
                values["epoch"] += 1
                values["between_epochs"](values)
        except StopTraining as stop:
            clock.interrupt(stop.reason)
        except Unwind:
            pass  # The clock knows why.

    def _is_inside(self) -> bool:
        """Tell whether an epoch was entered and not left: its end may be due yet."""
        return any(stage.state.get("reached") for _, stage in self.stages())
