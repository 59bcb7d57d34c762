"""Callbacks: the reactions registered on a Module, by name, in order."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from ptutils.errors import CallbackError, nearest
from ptutils.meta.dispatch import (
    Handler,
    Reaction,
    adapt,
    arrange,
    handlers_of,
    snake,
)
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
        >>> values = callbacks.call(callbacks.AFTER_UPDATE, step=3)
        step 3!
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Any] = {}
        self._handlers: list[Handler] = []
        self._compiled: dict[tuple[str, ...], list[Reaction]] = {}

    def __call__(self, trigger: str, **values: Value) -> dict[str, Value]:
        """Raise a trigger; the same as :meth:`call`."""
        return self.call(trigger, **values)

    def register(self, callback: Value, *, name: str | None = None) -> Value:
        """Add a callback at the end.

        Args:
            callback: An object with methods named after triggers.
            name: Its name here; its class's name in snake case by default, with a
                number where that is taken.

        Returns:
            The callback.

        Raises:
            CallbackError: If it is a name or a class, it reacts to nothing, the name is
                taken, or it is here already.
        """
        _require_instance(callback)
        if name is None:
            name = self._free(snake(type(callback).__name__))
        if name in self._by_name or callback in self:
            raise CallbackError(
                f"cannot register {type(callback).__qualname__} as {name!r}",
                expected="a callback that is not here yet, and a free name",
                got=", ".join(self._by_name),
                fix="unregister() the other first, or call replace(name, callback)",
            )
        self._set({**self._by_name, name: callback})
        return callback

    def unregister(self, callback: Value) -> Value:
        """Remove a callback, given by name or itself, and return it."""
        left = dict(self._by_name)
        removed = left.pop(self._name(callback))
        self._set(left)
        return removed

    def replace(self, old: Value, new: Value) -> Value:
        """Put ``new`` in the place and under the name of ``old``; return ``old``."""
        _require_instance(new)
        name = self._name(old)
        replaced = self._by_name[name]
        self._set({**self._by_name, name: new})
        return replaced

    def call(self, trigger: str, **values: Value) -> dict[str, Value]:
        """Call every handler of ``trigger`` with those of ``values`` that it reads.

        Returns:
            The values, with what the handlers wrote.

        Raises:
            CallbackError: If the handlers do not fit these values, or each other.
        """
        key = (trigger, *values)
        if key not in self._compiled:
            ordered = arrange(trigger, self.handlers(trigger), frozenset(values))
            self._compiled[key] = [adapt(handler) for handler in ordered]
        for react in self._compiled[key]:
            react(values)
        return values

    def handlers(self, trigger: str) -> list[Handler]:
        """Return the handlers of one trigger, in order of registration."""
        return [handler for handler in self._handlers if handler.trigger == trigger]

    def triggers(self) -> list[str]:
        """Return the triggers that something here reacts to, sorted."""
        return sorted({handler.trigger for handler in self._handlers})

    def items(self) -> ItemsView[str, Any]:
        """Return the callbacks with their names."""
        return self._by_name.items()

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._by_name.keys()

    def values(self) -> ValuesView[Any]:
        """Return the callbacks."""
        return self._by_name.values()

    def arguments(self) -> list[Any] | dict[str, Any]:
        """Return the callbacks as a constructor takes them.

        That is a list, or a dict where some name is not the one that a list would give.
        """
        as_listed = Callbacks()
        for callback in self:
            as_listed.register(callback)
        if list(as_listed.keys()) == list(self.keys()):
            return list(self)
        return dict(self.items())

    def state_dict(self) -> dict[str, Value]:
        """Return the state of each callback that has one, by name."""
        states = {
            name: callback.state_dict()
            for name, callback in self.items()
            if hasattr(callback, "state_dict")
        }
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
        return any(
            callback is known or callback == name for name, known in self.items()
        )

    def __iter__(self) -> Iterator[Any]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):  # Copying asks for these before there is anything.
            raise AttributeError(name)
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

    def _set(self, by_name: dict[str, Any]) -> None:
        """Take over other callbacks, once what all of them declare is understood."""
        self._handlers = [
            handler
            for name, callback in by_name.items()
            for handler in handlers_of(callback, name)
        ]
        self._by_name = by_name
        self._compiled = {}

    def _name(self, callback: Value) -> str:
        """Return the name of a callback given by itself, its name or its class's."""
        for name, known in self._by_name.items():
            if known is callback or name == callback:
                return name
        for name, known in self._by_name.items():
            if _is_class_name(callback, known):
                return name
        guess = nearest(str(callback), self._by_name)
        raise CallbackError(
            f"no callback {callback!r} is registered here",
            expected=", ".join(self._by_name) or "none is registered",
            got=repr(callback),
            fix=f"did you mean {guess!r}?" if guess else "register it first",
        )


def _require_instance(callback: Value) -> None:
    if isinstance(callback, type):
        got, fix = f"class {callback.__qualname__}", f"{callback.__name__}()"
    elif isinstance(callback, str):
        got, fix = repr(callback), f"call register_callback({callback!r}) of a Module"
    else:
        return
    raise CallbackError(
        "cannot register this as a callback",
        expected="a callback, made already",
        got=got,
        fix=fix,
    )


def _is_class_name(name: Value, callback: object) -> bool:
    kind = type(callback).__name__.lower()
    return isinstance(name, str) and name.lower() == kind
