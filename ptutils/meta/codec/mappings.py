"""The dict classes of ptutils itself, whose nested dicts are of the same class."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["NESTED_MAPPINGS", "nested_mapping"]

_T = TypeVar("_T", bound=type[dict[Any, Any]])

NESTED_MAPPINGS: dict[str, type[dict[Any, Any]]] = {}
"""By class name, which is also the tag in the sidecar."""


def nested_mapping(kind: _T) -> _T:
    """Make a dict subclass storable; its constructor must work without arguments.

    Directly nested instances of the same class need no mark of their own, so that a
    tree of them costs one entry in the sidecar.
    """
    NESTED_MAPPINGS[kind.__name__] = kind
    return kind
