"""The types of what is stored: one alias for any value, one for plain documents."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Document", "Value"]

Value: TypeAlias = Any
"""Anything that the codec can store; the one place where ``Any`` stands for data."""

Document: TypeAlias = dict[str, Any]
"""A dict of plain values: None, bool, 64-bit int, float, str, bytes, datetime (in
``datetime.UTC``, whole milliseconds), list and str-keyed dict of the same."""
