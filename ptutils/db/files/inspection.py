"""What is wrong in a folder, and what of it can be mended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ptutils.core.dbinterface import Fault

if TYPE_CHECKING:
    from ptutils.db.files.folder import Folder

__all__ = ["inspect"]


def inspect(folder: Folder, *, is_repairing: bool) -> Iterator[Fault]:
    """Yield what is wrong."""
    yield from ()
