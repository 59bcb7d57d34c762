"""``ptutils.connect``: one way to open every kind of database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ptutils.core.dbinterface import DBInterface
from ptutils.db.memory import MemoryInterface
from ptutils.db.sqlite import SQLiteInterface
from ptutils.errors import DatabaseError, NotFoundError, nearest

__all__ = ["connect"]

_AVAILABLE: Final = ("memory", "sqlite")
_PLANNED: Final = ("files", "mongodb", "mongodb+srv")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_EXPECTED: Final = "a path such as 'runs.db', 'sqlite:PATH' or 'memory:'"


def connect(url: str, *, create: bool = True) -> DBInterface:
    """Open a database.

    Args:
        url: A path, ``sqlite:PATH``, or ``memory:`` for a new one in memory.
        create: Whether a file that is not there will be made, on first use.

    Raises:
        NotFoundError: If there is no such file and it must not be made.
        DatabaseError: If nothing of ours opens such a URL.

    Example:
        >>> connect("memory:")
        MemoryInterface()
    """
    match = _SCHEME.fullmatch(str(url))
    scheme, rest = (match[1].lower(), match[2]) if match else ("sqlite", str(url))
    if scheme == "memory" and not rest:
        return MemoryInterface()
    if scheme != "sqlite" or not rest:
        raise _unknown(scheme, url)
    path = Path(rest)
    if not create and not path.exists():
        raise NotFoundError(
            "found no database",
            path=rest,
            expected=f"a file at {path.absolute()}",
            got="nothing there",
            fix="name another with --db or PTUTILS_DB, or start one: "
            "ptutils run CONFIG",
        )
    return SQLiteInterface(rest)


def _unknown(scheme: str, url: str) -> DatabaseError:
    if scheme in _PLANNED:
        got, fix = (
            f"{scheme!r}, which is not yet available",
            "use a SQLite file for now",
        )
    else:
        close = nearest(scheme, (*_AVAILABLE, *_PLANNED))
        got, fix = repr(str(url)), f"did you mean {close + ':'!r}?" if close else ""
    return DatabaseError(
        "cannot open this database", path=str(url), expected=_EXPECTED, got=got, fix=fix
    )
