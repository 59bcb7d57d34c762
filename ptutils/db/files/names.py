"""File names for any ``_id``: readable where they can be, safe always.

Letters, digits, ``-``, ``_`` and dots that do not come first stand for themselves; any
other byte of the UTF-8 is written ``%XX``. The empty text is ``%``. A whole number is
``=N``; any other value that is no text is ``=`` and a digest. What would be too long is
cut, and ends in ``%`` and a digest.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from blake3 import blake3

from ptutils.db.filters.order import is_number, key
from ptutils.errors import DatabaseError
from ptutils.meta.values import Value

__all__ = ["folder_of", "name_of", "names_in", "text_of"]

_UNSAFE: Final = re.compile(rb"^\.|[^A-Za-z0-9_.-]")
_LONGEST: Final = 180
"""File systems allow 255 bytes; suffixes and names of files aside need some."""


def name_of(identity: Value) -> str:
    """Return the file name, without suffix, for a document's ``_id``.

    Equal ids have one name, different ones have different names.

    Example:
        >>> name_of("best run"), name_of("../x"), name_of(5.0), name_of("")
        ('best%20run', '%2E.%2Fx', '=5', '%')
    """
    if isinstance(identity, str):
        return _shortened(_escaped(identity))
    if is_number(identity) and math.isfinite(identity) and identity == int(identity):
        return f"={int(identity)}"[:_LONGEST]
    return f"={_digest(key(identity))}"


def folder_of(collection: str) -> str:
    """Return the name of a collection's folder.

    Raises:
        DatabaseError: If the name is too long for one.
    """
    name = _escaped(collection)
    if len(name) > _LONGEST:
        raise DatabaseError(
            f"cannot use the collection {collection!r:.60}",
            expected=f"a name of at most {_LONGEST} bytes as a file name",
            got=f"{len(name)} bytes",
        )
    return name


def text_of(folder: str) -> str:
    """Undo :func:`folder_of`, and :func:`name_of` of a text that was not cut."""
    return "" if folder == "%" else unquote(folder)


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder that do not begin with a dot, sorted."""
    try:
        return sorted(name for name in os.listdir(folder) if name[0] != ".")
    except (FileNotFoundError, NotADirectoryError):
        return []


def _escaped(text: str) -> str:
    content = text.encode(errors="surrogatepass")
    return _UNSAFE.sub(lambda found: b"%%%02X" % ord(found[0]), content).decode() or "%"


def _shortened(name: str) -> str:
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 33]}%{_digest(name.encode())}"


def _digest(content: bytes) -> str:
    return blake3(content).hexdigest(16)
