"""NaN detector: fail at once when the loss is no longer a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ptutils.callbacks.every import checked_every
from ptutils.core.callback import Callback
from ptutils.errors import DivergenceError

if TYPE_CHECKING:
    from ptutils.core.model import Model

__all__ = ["NaNDetector"]


class NaNDetector(Callback):
    """Fail the run when the loss is NaN or infinite, before it spoils the weights.

    Reads ``loss``, ``model`` and ``step`` after the gradient, so that the last
    checkpoint stays good. Looking at the loss waits for the device: on a GPU choose a
    larger ``every``.

    Args:
        every: Look at every so many-th step.

    Raises:
        ConfigError: If ``every`` is not positive.
    """

    def __init__(self, every: int = 1) -> None:
        self.every = checked_every(every, "look at the loss")

    def after_gradient(self, loss: Any, model: Model, step: int) -> None:
        """Look at the loss of the step in progress.

        Raises:
            DivergenceError: If it is not finite.
        """
        if step % self.every == 0 and not model.backend.is_finite(loss):
            raise DivergenceError(
                f"the loss is {float(loss)} in step {step + 1}",
                expected="a finite loss",
                got=str(float(loss)),
                fix="resume from the last checkpoint with a smaller learning rate, or "
                "look at the batch of this step",
            )
