"""The names under which classes and functions may be stored and built.

A stored document says *names*; only classes that the running program registered, or
that a caller trusts, answer to them. The table is filled by code that is already
imported and is never filled from data.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import weakref
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from ptutils.errors import ConfigError
from ptutils.meta.values import Value

__all__ = ["Registered", "bind", "name_of", "recall", "register", "registered", "remember"]

Registered = type[Any] | Callable[..., Any]
_T = TypeVar("_T", bound=Registered)

_BY_NAME: dict[str, Registered] = {}
_NAME_BY_IDENTITY: dict[int, str] = {}
_MEMORY: dict[int, tuple[weakref.ref[Any], Registered, dict[str, Value]]] = {}


@overload
def register(target: _T) -> _T: ...
@overload
def register(*, name: str) -> Callable[[_T], _T]: ...
def register(
    target: _T | None = None, *, name: str | None = None
) -> _T | Callable[[_T], _T]:
    """Give a class or function a name that configs and stored documents may use.

    Instances of a registered class remember the arguments they were made with, so that
    a net written by hand can be built again from a stored config. Use as a decorator,
    bare or with ``name=``, or as a call on a class of another library.

    Args:
        target: The class or function. Enums and dataclasses become storable by value.
        name: The name to answer to; the class's own name by default.

    Returns:
        ``target`` itself.

    Raises:
        ConfigError: If another class already answers to the name.

    Example:
        >>> @register
        ... class Doubler:
        ...     def __init__(self, width: int) -> None:
        ...         self.width = width
        >>> recall(Doubler(3))
        (<class 'ptutils.meta.registry.Doubler'>, {'width': 3})
    """
    if target is None:
        return functools.partial(register, name=name)  # type: ignore[call-overload,no-any-return]
    known = name or target.__name__
    previous = _BY_NAME.get(known)
    # A notebook cell that is run again defines the same class anew: let it replace.
    if previous is not None and _address(previous) != _address(target):
        raise ConfigError(
            f"cannot register {_address(target)} as {known!r}",
            expected="a name that is not taken",
            got=f"{known!r} is {_address(previous)}",
            fix=f"choose another with register(name=...), say {_address(target)!r}",
        )
    _BY_NAME[known] = target
    _NAME_BY_IDENTITY[id(target)] = known
    if isinstance(target, type) and not _is_stored_by_value(target):
        _give_memory(target)
    return target


def registered() -> Mapping[str, Registered]:
    """Return all registered names, as a copy."""
    return dict(_BY_NAME)


def name_of(target: Registered) -> str | None:
    """Return the name that ``target`` was registered under, or None."""
    name = _NAME_BY_IDENTITY.get(id(target))
    return name if name is not None and _BY_NAME.get(name) is target else None


def remember(
    instance: object, target: Registered, arguments: Mapping[str, Value]
) -> None:
    """Note what ``instance`` was made by and with which bound arguments.

    The note lives as long as the instance, beside it: an attribute would leak into the
    state of objects that save their ``__dict__``. A copy is another object and has no
    note; what takes no weak reference stays without one and is opaque.
    """
    key = id(instance)
    try:
        guard = weakref.ref(instance, lambda _: _MEMORY.pop(key, None))
    except TypeError:
        return
    _MEMORY[key] = (guard, target, dict(arguments))


def recall(instance: object) -> tuple[Registered, dict[str, Value]] | None:
    """Return what :func:`remember` noted about ``instance`` itself, or None."""
    memory = _MEMORY.get(id(instance))
    if memory is None or memory[0]() is not instance:
        return None
    return memory[1], memory[2]


def bind(
    signature: inspect.Signature, args: tuple[Value, ...], kwargs: Mapping[str, Value]
) -> dict[str, Value]:
    """Bind a call's arguments to names: ``*args`` under ``"args"``, ``**kw`` spread.

    Raises:
        TypeError: If the call does not fit the signature, as the call itself would.
    """
    bound = signature.bind(*args, **kwargs).arguments
    result: dict[str, Value] = {}
    for name, value in bound.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            result["args"] = list(value)
        elif kind is inspect.Parameter.VAR_KEYWORD:
            result.update(value)
        else:
            result[name] = value
    return result


def _address(target: Registered) -> str:
    return f"{target.__module__}.{target.__qualname__}"


def _is_stored_by_value(target: type[Any]) -> bool:
    # A named tuple has no __init__ of its own that could be wrapped.
    return issubclass(target, enum.Enum | tuple) or dataclasses.is_dataclass(target)


def _give_memory(target: type[Any]) -> None:
    if hasattr(target, "_ptutils_is_module"):
        return  # A ptutils Module captures its config by itself.
    original = target.__init__
    signature = inspect.signature(original)

    @functools.wraps(original)
    def __init__(self: object, *args: Value, **kwargs: Value) -> None:  # noqa: N807
        # Bind before the body runs, which may change its arguments; note afterwards,
        # because torch.nn.Module refuses attributes before its own __init__.
        arguments: dict[str, Value] | None = None
        if type(self) is target:
            arguments = bind(signature, (self, *args), kwargs)
            arguments.pop(next(iter(signature.parameters)), None)
        original(self, *args, **kwargs)
        if arguments is not None:
            remember(self, target, arguments)

    target.__init__ = __init__  # type: ignore[misc]
