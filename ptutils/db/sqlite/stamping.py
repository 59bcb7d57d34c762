"""Stamps: how a text tells whether it is what was written, and stays JSON.

SQLite notices damage to its own structures, but not to what is stored in them. The text
of a document therefore ends in 16 white characters: its CRC-32, two bits each.
"""

from __future__ import annotations

import zlib
from itertools import product
from typing import Final

__all__ = ["is_whole", "stamped"]

_WHITE: Final = " \t\n\r"
_BYTES: Final = tuple(map("".join, product(_WHITE, repeat=4)))
"""How each value of a byte is spelled."""

_LENGTH: Final = 16


def stamped(text: str) -> str:
    """Return a JSON text with its stamp at the end."""
    return text + _stamp(text)


def is_whole(text: str) -> bool:
    """Return whether a text is what was stamped, or has no stamp at all.

    Example:
        >>> text = stamped('{"a": 1}')
        >>> is_whole(text), is_whole(text.replace("1", "2"))
        (True, False)
    """
    if text[-1:] not in _WHITE:
        return True  # Written by an earlier format.
    return text[-_LENGTH:] == _stamp(text[:-_LENGTH])


def _stamp(text: str) -> str:
    checksum = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    return "".join(_BYTES[byte] for byte in checksum.to_bytes(4))
