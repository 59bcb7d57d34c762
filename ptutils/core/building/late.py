"""Late: something to be built when what it needs exists, such as an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ptutils.core.building.signature import by_name, signature_of
from ptutils.meta.registry import Registered, remember
from ptutils.meta.values import Value

__all__ = ["Late", "late_parameter"]

_LATE_BY_BASE = {
    "torch.optim.optimizer.Optimizer": "params",
    "torch.optim.lr_scheduler.LRScheduler": "optimizer",
}


class Late:
    """A class and its settings, waiting for one argument that does not exist yet.

    Calling it with that argument builds the object, which remembers its settings.
    Settings that are themselves late (the schedulers of a chain) get it too.

    Args:
        target: The class.
        arguments: All of its arguments but one, by name.
        parameter: The name of the one.
        finish: Calls the class with named arguments.
    """

    def __init__(
        self,
        target: Registered,
        arguments: Mapping[str, Value],
        parameter: str,
        finish: Callable[[Registered, Mapping[str, Value]], Any],
    ) -> None:
        self.target = target
        self.arguments = dict(arguments)
        self._parameter = parameter
        self._finish = finish

    def __call__(self, value: Value) -> Any:
        """Build the object from ``value`` and the settings."""
        ready = {name: _ready(item, value) for name, item in self.arguments.items()}
        built = self._finish(self.target, {self._parameter: value, **ready})
        remember(built, self.target, ready)
        return built

    def __repr__(self) -> str:
        settings = [f"{name}={value!r}" for name, value in self.arguments.items()]
        return f"Late({', '.join([self.target.__qualname__, *settings])})"


def late_parameter(target: Registered) -> str | None:
    """Return the name of the argument that ``target`` has to wait for, or None.

    Optimizers wait for ``params``, learning-rate schedulers for ``optimizer``, or for
    their first argument where they call it otherwise. The bases are compared by name,
    so that nothing is imported to find out.
    """
    for base in getattr(target, "__mro__", ()):
        parameter = _LATE_BY_BASE.get(f"{base.__module__}.{base.__qualname__}")
        if parameter is not None:
            names = list(by_name(signature_of(target)))
            return names[0] if names and parameter not in names else parameter
    return None


def _ready(item: Value, value: Value) -> Value:
    if isinstance(item, Late):
        return item(value)
    if type(item) in (list, tuple):
        return type(item)(_ready(inner, value) for inner in item)
    return item
