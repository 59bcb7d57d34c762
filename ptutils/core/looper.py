"""Looper: the root Stage, epoch after epoch until the schedule is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from ptutils.core.stage import Stage, Values
from ptutils.core.stages import Epoch

__all__ = ["Looper"]


class Looper(Stage):
    """The training loop as a tree of stages; :mod:`ptutils.core.stages` draws it."""

    defaults: ClassVar[Mapping[str, Callable[[], Stage]]] = {"epoch": Epoch}

    def run(self, values: Values) -> None:
        """Run epochs until the schedule is over."""
        # Whatever was drawn since the process began, for weights, workers or callbacks,
        # is forgotten here: the next random number is the one that would have come.
        values["settle"]()
        while not values["clock"].is_over(values):
            for part in self.parts:
                part(values)
            values["epoch"] += 1
            values["between_epochs"](values)
