"""Methods that may be called on a class and on an instance of it."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

__all__ = ["hybrid"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class hybrid(Generic[_P, _R]):  # noqa: N801 - a decorator, like classmethod
    """Bind a method to the instance when called on one, otherwise to the class.

    Args:
        function: The method; its first parameter receives the instance or the class.

    Example:
        >>> class Greeter:
        ...     @hybrid
        ...     def who(self):
        ...         return "class" if isinstance(self, type) else "instance"
        >>> Greeter.who(), Greeter().who()
        ('class', 'instance')
    """

    def __init__(self, function: Callable[Concatenate[Any, _P], _R]) -> None:
        self.__func__ = function
        self.__doc__ = function.__doc__

    def __get__(
        self, instance: object | None, owner: type[Any] | None = None
    ) -> Callable[_P, _R]:
        return types.MethodType(self.__func__, owner if instance is None else instance)
