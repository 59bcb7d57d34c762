"""What a constructor takes: its parameters, their type hints, and how to pass them."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any

from ptutils.meta.values import Value

__all__ = [
    "arranged",
    "by_name",
    "hints_of",
    "holds_positions",
    "positional",
    "signature_of",
    "spread",
]

_BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (*_BY_POSITION, Parameter.KEYWORD_ONLY)


def signature_of(target: Callable[..., Any]) -> Signature:
    """Return the signature of a function, or of a class without ``self``.

    ``inspect.signature`` prefers ``__new__``, which in a Module only captures; here the
    most derived of ``__init__`` and ``__new__`` counts. A constructor written in C that
    does not tell may take anything.
    """
    return _signature(target)


def hints_of(target: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the type hints of a constructor or function by parameter name.

    Empty where they cannot be evaluated: hints then check nothing.
    """
    return _hints(target)


def positional(signature: Signature) -> list[str]:
    """Return the parameters that may be passed by position, in order."""
    return [p.name for p in signature.parameters.values() if p.kind in _BY_POSITION]


def by_name(signature: Signature) -> dict[str, Parameter]:
    """Return the parameters that a config may name: all but ``*args`` and ``**kw``."""
    return {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind in _BY_NAME
    }


def spread(signature: Signature, kind: Any) -> str | None:
    """Return the name of the parameter of a ``VAR_`` kind, or None."""
    found = (p.name for p in signature.parameters.values() if p.kind is kind)
    return next(found, None)


def holds_positions(signature: Signature, name: str) -> bool:
    """Tell whether ``name`` holds positional arguments in a config of this signature.

    ``args`` does, unless a parameter of its own is called so.
    """
    return name == "args" and name not in by_name(signature)


def arranged(
    signature: Signature, settings: Mapping[str, Value]
) -> tuple[list[Value], dict[str, Value]]:
    """Split the settings of a config into positional and keyword arguments.

    ``args`` fills parameters from the first on; where all of them are named, it is what
    ``*args`` receives. A positional-only parameter may be named, too.
    """
    named = dict(settings)
    given = list(named.pop("args")) if _has_positions(signature, named) else []
    names = positional(signature)
    starred = spread(signature, Parameter.VAR_POSITIONAL)
    if given and starred is not None and all(name in named for name in names):
        return [*(named.pop(name) for name in names), *given], named
    for name in names[len(given) :]:
        kind = signature.parameters[name].kind
        if kind is not Parameter.POSITIONAL_ONLY or name not in named:
            break
        given.append(named.pop(name))
    return given, named


def _has_positions(signature: Signature, settings: Mapping[str, Value]) -> bool:
    return "args" in settings and holds_positions(signature, "args")


@functools.cache
def _signature(target: Any) -> Signature:
    maker = _maker(target)
    try:
        signature = inspect.signature(maker)
    except ValueError:
        return inspect.signature(_takes_anything)
    if maker is target:
        return signature
    return signature.replace(parameters=list(signature.parameters.values())[1:])


@functools.cache
def _hints(target: Any) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(_maker(target))
    except (NameError, AttributeError, TypeError, SyntaxError):
        return {}


def _maker(target: Callable[..., Any]) -> Callable[..., Any]:
    if not isinstance(target, type):
        return target
    for base in target.__mro__[:-1]:
        if "_ptutils_is_module" in vars(base):
            continue  # Module itself, whose __new__ only captures.
        for name in ("__init__", "__new__"):
            maker = vars(base).get(name)
            if maker is not None:
                return maker.__func__ if isinstance(maker, staticmethod) else maker
    return _takes_nothing


def _takes_nothing(self: object) -> None:
    """Stand in for the constructor of a class that defines none."""


def _takes_anything(*args: Value, **kwargs: Value) -> None:
    """Stand in for a constructor that does not tell what it takes."""
