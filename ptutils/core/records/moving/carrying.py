"""Carrying artifacts from one database to another, so many bytes at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ptutils.core.records.identity import now
from ptutils.core.records.upkeep.garbage import GRACE_S
from ptutils.errors import CorruptError, DatabaseError, NotFoundError
from ptutils.meta.codec import Buffer

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["carry_artifacts"]

_BATCH_BYTES: Final = 1 << 26
_MOST_ROUNDS: Final = 4
_FRESH: Final = timedelta(seconds=GRACE_S / 2)
"""What was stored so lately is safe from being cleaned away as an orphan."""


def carry_artifacts(
    source: DBInterface, target: DBInterface, digests: set[str]
) -> None:
    """Copy artifacts that the target lacks; every byte is verified on the way.

    Those that it has count as stored now, so that none of them is cleaned away before
    the document that needs it is there: also those that were copied so long before the
    last of them that they could be.

    Raises:
        CorruptError: If one is damaged at the source.
        NotFoundError: If one is gone in both.
        DatabaseError: If it takes too long to keep all of them.
    """
    for _ in range(_MOST_ROUNDS):
        if not _carry(source, target, digests):
            return
    raise DatabaseError(
        f"cannot copy {len(digests)} artifacts to {target.url}",
        expected=f"less than {GRACE_S / 2:g} s for all that one document needs",
        got="more; the first could be cleaned away before the last is there",
        fix="copy it from a place, or to one, that is quicker to reach",
    )


def _carry(source: DBInterface, target: DBInterface, digests: set[str]) -> bool:
    """Store those that are not there, or not since lately; tell whether any was."""
    known = target._stored(digests)
    is_any = False
    batch: dict[str, Buffer] = {}
    size = 0
    for digest in sorted(digests):
        if digest in known and known[digest].put > now() - _FRESH:
            continue
        is_any = True
        try:
            batch[digest] = source._get(digest)
        except (CorruptError, NotFoundError):
            if digest not in known:
                raise
            batch[digest] = target._get(digest)  # What is put aside lacks old ones.
        size += len(batch[digest])
        if size >= _BATCH_BYTES:
            _put(target, batch)
            batch, size = {}, 0
    _put(target, batch)
    return is_any


def _put(target: DBInterface, batch: dict[str, Buffer]) -> None:
    if not batch:
        return
    for expected, found in zip(batch, target._put(list(batch.values())), strict=True):
        if expected != found:
            raise CorruptError(
                f"cannot copy artifact {expected}",
                path=target.url,
                expected="bytes with that digest",
                got=f"bytes with digest {found}",
                fix="restore it from a copy",
            )
