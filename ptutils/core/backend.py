"""The contract of a numerical library: everything done to arrays, gradients, devices.

The training loop speaks to a Backend alone, so that another library is another file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ptutils.core.catalogue import find
from ptutils.meta.values import Value

if TYPE_CHECKING:
    from ptutils.core.model import Model

__all__ = ["Backend", "load_backend", "seed"]


class Backend(Protocol):
    """What the loop needs of a numerical library."""

    def seed(self, seed: int) -> None:
        """Seed the global random streams of Python, numpy and the library."""

    def random_state(self) -> dict[str, Value]:
        """Return the state of every global random stream."""

    def set_random_state(self, state: Mapping[str, Value]) -> None:
        """Set every global random stream to what :meth:`random_state` returned."""

    def accelerators(self) -> list[str]:
        """Return the names of the GPUs, if this process has begun to use them."""

    def device(self, name: str) -> Any:
        """Return the device called ``name``; ``auto`` is the fastest there is."""

    def place(self, module: Any, device: Any) -> Any:
        """Move a net, a loss or a metric to ``device``, in place; return it."""

    def to_device(self, batch: Value, device: Any) -> Value:
        """Return a batch (tensor, tuple, list or dict of them) on ``device``."""

    def is_local(self, device: Any) -> bool:
        """Tell whether batches are on ``device`` already when the loader gives them."""

    def gradient(self, model: Model, batch: Value) -> tuple[Value, Value]:
        """Go forward and backward; return the outputs and the detached loss."""

    def update(self, model: Model) -> None:
        """Take one step of the optimizer."""

    def updated(self, model: Model) -> Collection[object]:
        """Return the keys of the memory that :meth:`update` changes, as codec keys."""

    def schedule(self, model: Model) -> None:
        """Take one step of the scheduler."""

    def evaluate(self, model: Model, batch: Value) -> tuple[Value, Value, int]:
        """Go forward without gradients; return outputs, loss and number of samples."""

    def gradients(self, model: Model) -> Mapping[str, Value]:
        """Return a live view of the gradients by parameter name."""

    def set_gradients(self, model: Model, gradients: Mapping[str, Value]) -> None:
        """Put other gradients in place of those that a live view shows."""

    def is_finite(self, value: Value) -> bool:
        """Tell whether every element of a number or tensor is finite."""


def load_backend(name: str = "torch") -> Backend:
    """Return the backend called ``name``, importing its library."""
    backend: Backend = find(f"{name.capitalize()}Backend")()
    return backend


def seed(value: int) -> None:
    """Seed Python, numpy and torch; call it before making nets by hand.

    ``Session.from_meta`` does so itself with the config's ``seed``, so that a session
    written in Python and the same written as YAML start from equal weights.
    """
    load_backend().seed(value)
