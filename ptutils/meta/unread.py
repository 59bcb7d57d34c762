"""Values that are read when they are first asked for, and what stands for them."""

from __future__ import annotations

from typing import Any, Protocol

from ptutils.meta.values import Value

__all__ = ["Source", "Unread", "inside", "known", "own_item"]


class Source(Protocol):
    """Where unread values come from."""

    def read(self, unread: Unread) -> Value:
        """Return a value; always the same one."""

    def parts(self, unread: Unread) -> Value:
        """Return a container with parts of a value, some of them unread, or None."""


class Unread:
    """Stands in a dict for a value that is still where it was stored.

    Args:
        source: Reads it.
        path: Of names, from the root of what is being read.
        plain: Its plain form.
        node: What the sidecar says of it.
    """

    __slots__ = ("held", "is_open", "is_read", "node", "path", "plain", "source")

    def __init__(
        self,
        source: Source,
        path: tuple[str | int, ...],
        plain: Value,
        node: dict[str, Any],
    ) -> None:
        self.source = source
        self.path = path
        self.plain = plain
        self.node = node
        self.held: Value = None
        self.is_open = False
        self.is_read = False

    def __repr__(self) -> str:
        shown = self.plain if isinstance(self.plain, str) else self.node.get("is")
        return f"<unread {shown or type(self.plain).__name__}>"


def own_item(container: dict[Any, Value], key: Value) -> Value:
    """Return the value under exactly this key of a dict; read it if that is left to do.

    Raises:
        KeyError: If there is none.
    """
    held = dict.__getitem__(container, key)
    value = known(held)
    if value is not held:
        dict.__setitem__(container, key, value)
    return value


def inside(value: Value) -> Value:
    """Return what can be looked into for parts of a value, read or not; else None."""
    return value.source.parts(value) if type(value) is Unread else value


def known(value: Value) -> Value:
    """Return the value itself, read."""
    return value.source.read(value) if type(value) is Unread else value
