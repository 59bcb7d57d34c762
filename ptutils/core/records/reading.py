"""The storages of one State, read into memory that is its own."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from ptutils.core.records.artifacts import Group, Storages
from ptutils.errors import CorruptError, NotFoundError
from ptutils.meta.codec import Buffer
from ptutils.meta.codec.slices import SLICE_BYTES

if TYPE_CHECKING:
    from ptutils.core.hooks import Hooks, View

__all__ = ["REPLACE", "OwnStorages"]

REPLACE: Final = (
    "restore it from a copy, or resume from an earlier one: ptutils resume RUN --step "
    "N, or run.resume(step=...)"
)
"""What to do about a checkpoint that is damaged."""


class OwnStorages(Storages):
    """The bytes of each storage, read when they are needed, once, and verified.

    What lies in a file is mapped: it may be written to, which changes no file and is
    seen by nobody else. Storages of equal content have memory of their own each.

    Args:
        groups: The items of each.
        db: Where they are.
        owner: What they are of, for errors.
        verify: Whether to compare what is mapped with its digest.
    """

    def __init__(
        self, groups: Sequence[Group], db: Hooks, owner: str, *, verify: bool
    ) -> None:
        # Nothing here refers to itself: maps are let go with the last that needs them.
        super().__init__(groups, partial(_copied, db, owner))
        self._db = db
        self._verify = verify
        self._lock = threading.Lock()
        self._given: set[str] = set()
        self._view: View | None = None
        self._is_looked_up = False

    def read_all(self) -> None:
        """Read what is not inline; two threads hash what is mapped.

        Raises:
            CorruptError: If something is damaged.
            NotFoundError: If something is gone.
        """
        stored = [n for n, group in enumerate(self._groups) if type(group[0]) is str]
        rest = iter(stored)
        faults: list[Exception] = []
        helper = threading.Thread(target=self._read_each, args=(rest, faults))
        if has_helper := bool(self._verify and stored and self._look_up()):
            helper.start()
        self._read_each(rest, faults)
        if has_helper:
            helper.join()
        if faults:
            raise faults[0]

    def _read_each(self, numbers: Iterable[int], faults: list[Exception]) -> None:
        for number in numbers:
            if faults:
                return
            try:
                self[number]
            except Exception as error:  # noqa: BLE001 - raised when both have ended
                faults.append(error)

    def _joined(self, group: Group) -> Buffer:
        digests = [item for item in group if type(item) is str]
        mapped = self._mapped(digests) if len(digests) == len(group) else None
        return super()._joined(group) if mapped is None else mapped

    def _mapped(self, digests: list[str]) -> memoryview | None:
        """Return private memory with these bytes; None where they must be copied."""
        view_of = self._look_up()
        if view_of is None or not self._claim(digests):
            return None
        view = view_of(digests)
        if view is None or len(pieces := _cut(view, len(digests))) != len(digests):
            return None
        # What is damaged here may be whole elsewhere; or reading it again says why.
        is_sound = not self._verify or digests == [
            blake3(piece).hexdigest() for piece in pieces
        ]
        return view if is_sound else None

    def _look_up(self) -> View | None:
        """Find out where everything is, at once."""
        with self._lock:
            if not self._is_looked_up:
                items = (item for group in self._groups for item in group)
                every = {item for item in items if isinstance(item, str)}
                self._view = self._db._private(every) if every else None
                self._is_looked_up = True
            return self._view

    def _claim(self, digests: list[str]) -> bool:
        """Return whether nobody has the memory of any of these yet."""
        with self._lock:
            is_free = self._given.isdisjoint(digests)
            self._given.update(digests)
            return is_free


def _copied(db: Hooks, owner: str, digest: str) -> Buffer:
    try:
        return db._get(digest)
    except (CorruptError, NotFoundError) as error:
        raise type(error)(
            f"cannot load {owner}: {error.what}",
            path=error.path,
            expected=error.expected,
            got=error.got,
            fix=REPLACE,
        ) from error


def _cut(view: memoryview, count: int) -> list[memoryview]:
    if count == 1:
        return [view]
    return [view[at : at + SLICE_BYTES] for at in range(0, len(view), SLICE_BYTES)]
