"""Callbacks: the reactions registered on a Module, by name, in order."""

from __future__ import annotations

import re
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from ptutils.errors import CallbackError, nearest
from ptutils.meta.dispatch import Handler, adapt, arrange, handlers_of
from ptutils.meta.metamodule import MetaModule
from ptutils.meta.values import Value

__all__ = ["Callbacks"]


class Callbacks(MetaModule):
    """A registry of callbacks, each with a name and its own state.

    The triggers of what is registered are attributes of the registry, so that code
    which raises one need not spell it: ``callbacks.AFTER_UPDATE == "after_update"``.

    Example:
        >>> class Shout:
        ...     def after_update(self, step: int) -> None:
        ...         print(f"step {step}!")
        >>> callbacks = Callbacks()
        >>> shout = callbacks.register(Shout())
        >>> callbacks.call(callbacks.AFTER_UPDATE, step=3)
        step 3!
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Any] = {}

    def __call__(self, trigger: str, **values: Value) -> None:
        """Raise a trigger; the same as :meth:`call`."""
        self.call(trigger, **values)

    def register(self, callback: Value, *, name: str | None = None) -> Value:
        """Add a callback at the end.

        Args:
            callback: An object with methods named after triggers.
            name: Its name here; its class's name in snake case by default, with a
                number where that is taken.

        Returns:
            The callback.

        Raises:
            CallbackError: If it reacts to nothing, or the name is taken.
        """
        handlers_of(callback, "")  # Check what it declares before anything is kept.
        if name is None:
            name = self._free(_snake(type(callback).__name__))
        elif name in self._by_name:
            raise CallbackError(
                f"cannot register {type(callback).__qualname__} as {name!r}",
                expected="a name that is not taken",
                got=name,
                fix=f"unregister({name!r}) first, or call replace({name!r}, ...)",
            )
        self._by_name[name] = callback
        return callback

    def unregister(self, callback: Value) -> Value:
        """Remove a callback, given by name or itself, and return it."""
        return self._by_name.pop(self._name(callback))

    def replace(self, old: Value, new: Value) -> Value:
        """Put ``new`` in the place and under the name of ``old``; return ``old``."""
        handlers_of(new, "")
        name = self._name(old)
        replaced = self._by_name[name]
        self._by_name[name] = new
        return replaced

    def call(self, trigger: str, **values: Value) -> None:
        """Call every handler of ``trigger`` with those of ``values`` that it reads."""
        handlers = self.handlers(trigger)
        for handler in arrange(trigger, handlers, frozenset(values)):
            adapt(handler)(values)

    def handlers(self, trigger: str) -> list[Handler]:
        """Return the handlers of one trigger, in order of registration."""
        return [
            handler
            for name, callback in self._by_name.items()
            for handler in handlers_of(callback, name)
            if handler.trigger == trigger
        ]

    def triggers(self) -> list[str]:
        """Return the triggers that something here reacts to, sorted."""
        found = {
            handler.trigger
            for name, callback in self._by_name.items()
            for handler in handlers_of(callback, name)
        }
        return sorted(found)

    def items(self) -> ItemsView[str, Any]:
        """Return the callbacks with their names."""
        return self._by_name.items()

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._by_name.keys()

    def values(self) -> ValuesView[Any]:
        """Return the callbacks."""
        return self._by_name.values()

    def state_dict(self) -> dict[str, Value]:
        """Return the state of each callback that has one, by name."""
        states = {name: callback.state_dict() for name, callback in self.items()}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, state: Mapping[str, Value]) -> Callbacks:
        """Load the state of each callback named in ``state``; return this registry.

        Raises:
            CallbackError: If ``state`` names a callback that is not registered.
        """
        named = [(self._by_name[self._name(name)], own) for name, own in state.items()]
        for callback, own in named:
            callback.load_state_dict(own)
        return self

    def __getitem__(self, name: str) -> Value:
        return self._by_name[self._name(name)]

    def __contains__(self, callback: Value) -> bool:
        return callback in self._by_name or any(
            known is callback for known in self._by_name.values()
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __getattr__(self, name: str) -> str:
        if name.isupper() and name.lower() in self.triggers():
            return name.lower()
        raise AttributeError(
            f"no callback here reacts to {name.lower()!r}; "
            f"triggers: {', '.join(self.triggers()) or 'none'}"
        )

    def __repr__(self) -> str:
        return f"Callbacks({', '.join(self._by_name)})"

    def _free(self, name: str) -> str:
        number, free = 2, name
        while free in self._by_name:
            free, number = f"{name}_{number}", number + 1
        return free

    def _name(self, callback: Value) -> str:
        for name, known in self._by_name.items():
            if known is callback or name == callback:
                return name
        guess = nearest(str(callback), self._by_name)
        raise CallbackError(
            f"no callback {callback!r} is registered here",
            expected=", ".join(self._by_name) or "none is registered",
            got=repr(callback),
            fix=f"did you mean {guess!r}?" if guess else "register it first",
        )


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
