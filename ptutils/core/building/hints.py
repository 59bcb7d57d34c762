"""What a type hint admits: its classes, its items, and whether a value fits."""

from __future__ import annotations

import collections.abc
import functools
import importlib
import numbers
import types
import typing
from collections.abc import Callable
from typing import Any

from ptutils.meta.values import Value

__all__ = ["classes_in", "coerce", "is_instance", "item_hint", "kinds_in"]

_LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable)
_NUMBERS = {int: numbers.Integral, float: numbers.Real, complex: numbers.Complex}
_DICTS = (dict, collections.abc.Mapping)


def classes_in(hint: Any) -> list[type[Any]]:
    """Return the plain classes among a hint's alternatives; none if any value fits."""
    if any(part is Any or _is_callable(part) for part in _members(hint)):
        return []
    origins = [typing.get_origin(part) or part for part in _members(hint)]
    return [
        kind for kind in origins if isinstance(kind, type) and kind is not type(None)
    ]


def is_instance(value: Value, hint: Any) -> bool:
    """Tell whether ``value`` is of one of a hint's classes, as far as that can be told.

    Numbers of other libraries count; a bool is no int here, and containers pass.
    """
    parts = _members(hint)
    if value is None:
        return hint is Any or type(None) in parts or not classes_in(hint)
    classes = classes_in(hint)
    if not classes or len(classes) < len([p for p in parts if p is not type(None)]):
        return True  # Any value fits, or something that is no class might.
    if any(kind in _LISTS or kind in _DICTS for kind in classes):
        return True  # Constructors say better what their containers are to hold.
    if isinstance(value, bool):
        return bool in classes or object in classes
    wider: list[Any] = [*classes]
    wider += [_NUMBERS[kind] for kind in classes if kind in _NUMBERS]
    try:
        return isinstance(value, tuple(wider))
    except TypeError:  # A Protocol that instances cannot be checked against.
        return True


def item_hint(hint: Any, container: type[Any]) -> Any:
    """Return the hint of what a list or dict of this hint holds; ``Any`` if unknown."""
    origins = _DICTS if container is dict else _LISTS
    for part in _members(hint):
        args = typing.get_args(part)
        if typing.get_origin(part) in origins and args:
            if container is dict:
                return args[-1]
            return args[0] if set(args[1:]) <= {args[0], ...} else Any
    return Any


def kinds_in(hint: Any) -> str:
    """Describe a hint for a person."""
    is_plain = isinstance(hint, type) and typing.get_origin(hint) is None
    return hint.__qualname__ if is_plain else str(hint).replace("typing.", "")


def coerce(value: Value, hint: Any) -> Value:
    """Return ``value`` as ``hint`` wants it: itself, or a tuple where it is a list.

    A tuple in place of a list and a number of numpy's in place of Python's are let
    pass as they are: constructors take them, so configs captured from them must build.

    Raises:
        ValueError: If it does not fit; the message says why.
    """
    fits = _validator(hint)
    if fits is None:
        return value
    reasons = fits(value)
    if not reasons:
        return value
    candidate = _tupled(value)
    if not fits(candidate):
        return candidate
    if not fits(_plainer(value)):
        return value
    wanted = [reason.removeprefix("Input should be ") for reason in reasons]
    raise ValueError(f"give {' or '.join(wanted)}")


def _members(hint: Any) -> list[Any]:
    """Return the alternatives of a union, or the hint alone."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [part for arg in typing.get_args(hint) for part in _members(arg)]
    return [hint]


def _tupled(value: Value) -> Value:
    return tuple(_tupled(item) for item in value) if isinstance(value, list) else value


def _plainer(value: Value) -> Value:
    if type(value) in (list, tuple):
        return [_plainer(item) for item in value]
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return value.item()
    return value


def _is_callable(part: Any) -> bool:
    origin = typing.get_origin(part) or part
    return origin is collections.abc.Callable


def _validator(hint: Any) -> Callable[[Value], list[str]] | None:
    try:
        return _compiled(hint)
    except TypeError:  # An unhashable hint, such as a Literal of a list.
        return None


@functools.cache
def _compiled(hint: Any) -> Callable[[Value], list[str]] | None:
    """Return what lists the reasons why a value does not fit."""
    # By name, because it is slow to import and most programs that only read a database
    # never check a config.
    pydantic = importlib.import_module("pydantic")
    unclear = (
        pydantic.PydanticUserError,
        importlib.import_module("pydantic_core").SchemaError,
    )
    try:
        config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        adapter = pydantic.TypeAdapter(hint, config=config)
    except unclear:
        return None  # A hint that pydantic cannot read checks nothing.

    def reasons(value: Value) -> list[str]:
        try:
            adapter.validate_python(value, strict=True)
        except pydantic.ValidationError as error:
            return sorted({str(item["msg"]) for item in error.errors()})
        except unclear:
            return []  # It names a class that does not exist yet.
        return []

    return reasons
