"""The names under which classes and functions may be stored and built.

A stored document says *names*; only classes that the running program registered, or
that a caller trusts, answer to them. The table is filled by code that is already
imported and is never filled from data.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import functools
import inspect
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from ptutils.errors import ConfigError
from ptutils.meta.values import Value

__all__ = [
    "Registered",
    "bind",
    "bind_partial",
    "name_of",
    "recall",
    "register",
    "registered",
    "remember",
    "remember_copies",
]

Registered = type[Any] | Callable[..., Any]
_T = TypeVar("_T", bound=Registered)

_BY_NAME: dict[str, Registered] = {}
_NAME_BY_IDENTITY: dict[int, str] = {}
_MEMORY: dict[int, tuple[weakref.ref[Any], Registered, dict[str, Value]]] = {}
_CONFIG_KEYS = ("args", "class")


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
        ConfigError: If another class already answers to the name, or ``target`` is
            neither a class nor a function.

    Example:
        >>> @register
        ... class Doubler:
        ...     def __init__(self, width: int) -> None:
        ...         self.width = width
        >>> recall(Doubler(3))
        (<class 'ptutils.meta.registry.Doubler'>, {'width': 3})
    """
    if target is None:
        return functools.partial(register, name=name)
    if not isinstance(target, type | types.FunctionType | types.BuiltinFunctionType):
        raise ConfigError(
            f"cannot register {target!r}",
            expected="a class or a function",
            got=type(target).__qualname__,
            fix="write a function with 'def', or a class, and register that",
        )
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
    is_new = name_of(target) is None
    _BY_NAME[known] = target
    _NAME_BY_IDENTITY[id(target)] = known
    if is_new and isinstance(target, type) and not _is_stored_by_value(target):
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


def remember_copies(copies: Mapping[int, Any]) -> None:
    """Give the deep copies of objects that remember a memory of their own.

    Args:
        copies: The memo of :func:`copy.deepcopy`: the copy by the original's identity.
    """
    for key, instance in list(copies.items()):
        memory = _MEMORY.get(key)
        if memory is not None:
            remember(instance, memory[1], copy.deepcopy(memory[2], dict(copies)))


def bind(
    signature: inspect.Signature, args: tuple[Value, ...], kwargs: Mapping[str, Value]
) -> dict[str, Value]:
    """Bind a call's arguments to names: ``*args`` under ``"args"``, ``**kw`` spread.

    Plain containers are copied, so that a later change of them changes no config.

    Raises:
        TypeError: If the call does not fit the signature, as the call itself would.
        ConfigError: If ``**kw`` holds a name that means something else in a config.
    """
    return _named(signature.bind(*args, **kwargs))


def bind_partial(
    signature: inspect.Signature,
    args: Iterable[Value],
    kwargs: Mapping[str, Value],
) -> dict[str, Value]:
    """Bind like :func:`bind`, but let arguments be missing."""
    return _named(signature.bind_partial(*args, **kwargs))


def _named(bound: inspect.BoundArguments) -> dict[str, Value]:
    result: dict[str, Value] = {}
    memo: dict[int, Value] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            result["args"] = _owned(list(value), memo)
        elif kind is inspect.Parameter.VAR_KEYWORD:
            _require_free(value)
            result.update(_owned(value, memo))
        else:
            result[name] = _owned(value, memo)
    return result


def _require_free(names: Mapping[str, Value]) -> None:
    for name in _CONFIG_KEYS:
        if name in names:
            raise ConfigError(
                f"cannot write down the argument {name!r}",
                expected="a name that means nothing else in a config",
                got=f"**{{{name!r}: ...}}",
                fix="name the argument otherwise",
            )


def _owned(value: Value, memo: dict[int, Value]) -> Value:
    """Copy plain containers, however they hold each other; share all else."""
    if id(value) in memo:
        return memo[id(value)]
    if type(value) is tuple:
        return tuple(_owned(item, memo) for item in value)
    if type(value) is list:
        items: list[Value] = []
        memo[id(value)] = items
        items.extend(_owned(item, memo) for item in value)
        return items
    if type(value) is dict:
        entries: dict[Value, Value] = {}
        memo[id(value)] = entries
        entries.update((key, _owned(item, memo)) for key, item in value.items())
        return entries
    return value


def _address(target: Registered) -> str:
    return f"{target.__module__}.{target.__qualname__}"


def _is_stored_by_value(target: type[Any]) -> bool:
    # A named tuple has no __init__ of its own that could be wrapped.
    return issubclass(target, enum.Enum | tuple) or dataclasses.is_dataclass(target)


def _give_memory(target: type[Any]) -> None:
    if hasattr(target, "_ptutils_is_module"):
        return  # A ptutils Module captures its config by itself.
    original = target.__init__
    # Without an __init__ of its own it is __new__ that takes the arguments; object's
    # refuses them once another stands in its place.
    is_empty = original is object.__init__
    maker = inspect.signature(target.__new__ if is_empty else original)
    signature = maker.replace(parameters=list(maker.parameters.values())[1:])

    @functools.wraps(original)
    def __init__(self: object, *args: Value, **kwargs: Value) -> None:  # noqa: N807
        # Bind before the body runs, which may change its arguments; note afterwards,
        # because torch.nn.Module refuses attributes before its own __init__.
        is_own = type(self) is target
        arguments = bind(signature, args, kwargs) if is_own else {}
        if not is_empty:
            original(self, *args, **kwargs)
        if is_own:
            remember(self, target, arguments)

    target.__init__ = __init__
