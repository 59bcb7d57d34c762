"""``ptutils.connect``: one way to open every kind of database."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from ptutils.core.catalogue import find
from ptutils.core.dbinterface import DBInterface
from ptutils.errors import DatabaseError, NotFoundError, nearest

__all__ = ["connect"]

_SCHEMES: Final = ("files", "memory", "mongodb", "mongodb+srv", "sqlite")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_PASSWORD: Final = re.compile(r"(//[^:@/]*):.*@", re.DOTALL)
_EXPECTED: Final = (
    "a path such as 'runs.db', 'sqlite:PATH', 'files:FOLDER', 'mongodb://HOST/NAME' or "
    "'memory:'"
)


def connect(url: str | os.PathLike[str], *, create: bool = True) -> DBInterface:
    """Open a database; only the driver that it needs is imported.

    Args:
        url: A path, ``sqlite:PATH``, ``files:FOLDER``, ``mongodb://HOST/NAME``,
            ``mongodb+srv://...``, or ``memory:`` for a new one in memory.
        create: Whether a file or folder that is not there will be made, on first use.

    Raises:
        NotFoundError: If there is no such file and it must not be made.
        DatabaseError: If nothing of ours opens such a URL.

    Example:
        >>> connect("memory:")
        MemoryInterface()
    """
    if not isinstance(url, str | os.PathLike):
        raise DatabaseError(
            "cannot open this database", expected=_EXPECTED, got=repr(url)
        )
    match = _SCHEME.fullmatch(str(url))
    scheme, rest = (match[1].lower(), match[2]) if match else ("sqlite", str(url))
    if scheme in ("mongodb", "mongodb+srv"):
        return _opened("MongoInterface", str(url))
    if scheme == "memory" and not rest:
        return _opened("MemoryInterface")
    if scheme not in ("files", "sqlite") or not rest:
        raise _unknown(scheme, str(url))
    if not create and not Path(rest).exists():
        raise _missing(rest, "folder" if scheme == "files" else "file")
    if scheme == "sqlite" and Path(rest).is_dir():
        raise _folder(rest)
    return _opened("FileInterface" if scheme == "files" else "SQLiteInterface", rest)


def _opened(name: str, *arguments: str) -> DBInterface:
    database: DBInterface = find(name)(*arguments)
    return database


def _missing(path: str, kind: str) -> NotFoundError:
    return NotFoundError(
        "found no database",
        path=path,
        expected=f"a {kind} at {Path(path).absolute()}",
        got="nothing there",
        fix="name another with --db or PTUTILS_DB, or start one: ptutils run CONFIG",
    )


def _folder(path: str) -> DatabaseError:
    return DatabaseError(
        "cannot open this database",
        path=path,
        expected="a SQLite file",
        got="a folder",
        fix=f"open it as a folder: files:{path}",
    )


def _unknown(scheme: str, url: str) -> DatabaseError:
    close = nearest(scheme, _SCHEMES)
    masked = _PASSWORD.sub(r"\1:***@", url)
    fix = f"did you mean {close + ':'!r}?" if close else ""
    if scheme in ("files", "sqlite"):
        fix = f"say where it is: {'files:lab' if scheme == 'files' else 'runs.db'}"
    return DatabaseError(
        "cannot open this database",
        path=masked,
        expected=_EXPECTED,
        got=repr(masked),
        fix=fix,
    )
