"""Migrations: how documents of an older format become those of ours, on every backend.

A backend that finds an older version in its own mark calls :func:`migrate`, and writes
its mark anew when that has returned: all in one transaction where it has those. Where
it has not, a migration that was interrupted is begun again: each step leaves alone what
is done already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ptutils.core.dbinterface import DBInterface
from ptutils.meta.values import Document

__all__ = ["FORMAT", "NEEDS", "migrate"]


def migrate(db: DBInterface, version: int) -> None:
    """Bring all documents up to the present format.

    Args:
        db: May be written.
        version: The format that they are in, 1 or later.
    """
    for step in _STEPS[version - 1 :]:
        step(db)


def _to_2(db: DBInterface) -> None:
    """Let runs be archived, asked to stop, and say what went wrong with recording."""
    new: Document = {"archived": False, "request": None, "faults": [], "format": 2}
    db._update("runs", {"format": 1}, {"$set": new}, many=True)


_STEPS: Final[tuple[Callable[[DBInterface], None], ...]] = (_to_2,)

FORMAT: Final = 1 + len(_STEPS)
"""The version of databases that are written now; a newer one is refused."""

NEEDS: Final = "ptutils>=0.1.0"
"""What reads this format, for pip; kept in the database, for those that cannot."""
