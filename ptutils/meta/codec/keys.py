"""Keys of dicts: which may stand in a plain document, and how the others are escaped.

A plain key is a non-empty text without ``.``, without leading ``$``, without NUL and
lone surrogates, and not the reserved ``_ptutils``. Any other key appears in the
document as the text that a person would look for, made plain; the sidecar keeps the
original.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from functools import lru_cache
from typing import Final

from ptutils.meta.values import Value

__all__ = ["RESERVED", "is_plain_key", "plain_key", "shown_path"]

RESERVED: Final = "_ptutils"
"""The key under which documents and files keep the sidecar."""

_MATCH = re.compile(r"(?!\$)(?!_ptutils\Z)[^.\0\ud800-\udfff]+").fullmatch
_HOSTILE: Final = {".": "\uff0e", "\0": "\u2400"}
_SURROGATES = re.compile("[\ud800-\udfff]")
_SIMPLE: Final = (str, int, float, bool, bytes, type(None))


def is_plain_key(key: Value) -> bool:
    """Return whether ``key`` may stand in a plain document as it is."""
    return type(key) is str and _is_plain(key)


@lru_cache(1 << 14)
def _is_plain(key: str) -> bool:
    return _MATCH(key) is not None


def plain_key(key: Value, taken: Container[str]) -> str:
    """Return the plain key to stand for any key, different from all that are taken.

    Example:
        >>> plain_key("a.b", {}), plain_key(0, {"0"}), plain_key((1, None), {})
        ('a．b', '0~1', '(1, None)')
    """
    name = _escape(_text(key))
    unique, count = name, 0
    while unique in taken:
        count += 1
        unique = f"{name}~{count}"
    return unique


def shown_path(names: Iterable[str | int]) -> str:
    """Return the dotted path of some names, as people know it, dots in keys included.

    Example:
        >>> shown_path(["net", "0．weight"])
        'net.0.weight'
    """
    return ".".join(map(str, names)).replace(_HOSTILE["."], ".")


def _text(key: Value) -> str:
    kind = type(key)
    if kind is str:
        return str(key)
    if kind is int and key.bit_length() > 64:
        return hex(key)  # Decimal is quadratic, and limited to 4300 digits.
    if kind in _SIMPLE:
        return str(key)
    if kind is tuple:
        return f"({', '.join(_text(item) for item in key)})"
    return kind.__name__


def _escape(text: str) -> str:
    for hostile, harmless in _HOSTILE.items():
        text = text.replace(hostile, harmless)
    text = _SURROGATES.sub("\ufffd", text)
    if text.startswith("$"):
        return f"\uff04{text[1:]}"
    return f"\uff3f{text[1:]}" if text == RESERVED else text or "\u2205"
