"""Early stopping: end training when a metric no longer improves."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal

from ptutils.core.callback import Callback
from ptutils.errors import ConfigError, StopTraining, nearest

__all__ = ["EarlyStopping"]


class EarlyStopping(Callback):
    """Stop when ``metric`` has not improved for ``patience`` validations.

    Reads ``metrics`` after each validation. Its state holds the best value so far and
    how many validations have passed since.

    Args:
        metric: A validated metric, such as ``valid.loss``.
        patience: How many validations without improvement to wait; at least 1.
        mode: ``min`` if less is better, ``max`` if more is.
        threshold: By how much the metric must improve to count, in its own units.

    Raises:
        ConfigError: If ``patience`` is not positive, or ``mode`` unknown.
    """

    def __init__(
        self,
        metric: str = "valid.loss",
        *,
        patience: int = 10,
        mode: Literal["min", "max"] = "min",
        threshold: float = 0.0,
    ) -> None:
        if patience < 1:
            raise ConfigError(
                "cannot stop early without patience",
                path="patience",
                expected="an int of at least 1",
                got=str(patience),
                fix="give the number of validations to wait",
            )
        if mode not in ("min", "max"):
            raise ConfigError(
                "cannot tell what is better",
                path="mode",
                expected="min or max",
                got=repr(mode),
                fix="say min for a loss, max for an accuracy",
            )
        self.metric = metric
        self.patience = patience
        self.sign = 1.0 if mode == "min" else -1.0
        self.threshold = threshold
        self.state.update(best=math.inf, waited=0)

    def after_validate(self, metrics: dict[str, float]) -> None:
        """Compare with the best so far; count, or stop."""
        if self.metric not in metrics and not any(map(_is_of_validation, metrics)):
            return  # Another split is measured, outside of training.
        self._check_metrics(metrics)
        value = self.sign * metrics[self.metric]
        if value < self.state.best - self.threshold:
            self.state.update(best=value, waited=0)
            return
        self.state.waited += 1
        if self.state.waited >= self.patience:
            raise StopTraining(
                f"{self.metric} has not improved for {self.patience} validations"
            )

    def _check_metrics(self, metrics: Collection[str]) -> None:
        if self.metric not in metrics:
            guess = nearest(self.metric, metrics)
            raise ConfigError(
                f"cannot watch {self.metric!r}",
                expected=", ".join(metrics),
                got=self.metric,
                fix=f"did you mean {guess!r}?" if guess else "name a validated metric",
            )


def _is_of_validation(metric: str) -> bool:
    return metric.startswith("valid.")
