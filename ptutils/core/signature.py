"""What a constructor takes: its parameters and their type hints."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["hints_of", "signature_of"]


@functools.cache
def signature_of(target: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function, or of a class without ``self``.

    ``inspect.signature`` prefers ``__new__``, which in a Module only captures; here the
    most derived of ``__init__`` and ``__new__`` counts.
    """
    maker = _maker(target)
    signature = inspect.signature(maker)
    if maker is target:
        return signature
    return signature.replace(parameters=list(signature.parameters.values())[1:])


@functools.cache
def hints_of(target: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the type hints of a constructor or function by parameter name.

    Empty where they cannot be evaluated: hints then check nothing.
    """
    try:
        return typing.get_type_hints(_maker(target))
    except (NameError, AttributeError, TypeError):
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
                return maker.__func__ if isinstance(maker, staticmethod) else maker  # type: ignore[no-any-return]
    return _takes_nothing


def _takes_nothing(self: object) -> None:
    """Stand in for the constructor of a class that defines none."""
