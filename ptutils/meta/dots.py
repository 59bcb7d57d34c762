"""Dots: names as attributes and dotted paths as subscripts, over one plain dict."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, MutableMapping

from ptutils.errors import ConfigError, MissingNameError
from ptutils.meta.paths import Trail, assign, explain, lookup, place, trail
from ptutils.meta.plain import copied
from ptutils.meta.values import Value

__all__ = ["Dots", "DotsView"]


class Dots:
    """Names as attributes, dotted paths as subscripts, over one plain dict."""

    @abstractmethod
    def _held(self) -> dict[str, Value]:
        """Return the plain dict; it is never copied."""

    def __getattr__(self, name: str) -> Value:
        if name.startswith("__"):  # Python asks for its own protocols all the time.
            raise AttributeError(name)
        value = self[name]
        return DotsView(value) if isinstance(value, dict) else value

    def __setattr__(self, name: str, value: Value) -> None:
        if hasattr(type(self), name):
            raise ConfigError(
                f"cannot set {name!r} by a dot",
                expected="a name that is no method of Config",
                got=f"the method {name!r}",
                fix=f"config[{name!r}] = ...",
            )
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __getitem__(self, path: str) -> Value:
        return lookup(self._trail(path))

    def __setitem__(self, path: str, value: Value) -> None:
        held = self._held()
        found = place(held, path)
        if found is None:
            raise ConfigError("cannot set a value", **explain(held, path))
        assign(found, copied(value))

    def __delitem__(self, path: str) -> None:
        found = self._trail(path)
        container, key = found[-1]
        if isinstance(container, dict):
            dict.__delitem__(container, key)
        else:
            assign(found[:-1], container[:key] + container[key + 1 :])

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and trail(self._held(), path) is not None

    def get(self, path: str, default: Value = None) -> Value:
        """Return the value at ``path``, or ``default`` where there is none."""
        found = trail(self._held(), path)
        return default if found is None else lookup(found)

    def _trail(self, path: str) -> Trail:
        held = self._held()
        found = trail(held, path)
        if found is None:
            raise MissingNameError("config holds nothing", **explain(held, path))
        return found


class DotsView(Dots, MutableMapping[str, Value]):
    """A dict inside a Config, seen through dots; what is set here is set there.

    Args:
        held: The plain dict to look through; it is shared, not copied.
    """

    __slots__ = ("_dict",)

    def __init__(self, held: dict[str, Value]) -> None:
        object.__setattr__(self, "_dict", held)

    def _held(self) -> dict[str, Value]:
        held: dict[str, Value] = object.__getattribute__(self, "_dict")
        return held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __len__(self) -> int:
        return len(self._held())

    def __repr__(self) -> str:
        return repr(self._held())

    def __reduce__(self) -> tuple[object, ...]:
        return DotsView, (self._held(),)
