"""Whether a run may be copied to where it is to go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ptutils.core.records.identity import is_expired
from ptutils.core.records.moving.comparing import Chunks
from ptutils.core.records.series import visible_chunks
from ptutils.errors import DatabaseError, LeaseError
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["held", "require_free", "require_whole"]


def require_free(
    target: DBInterface,
    theirs: Document,
    ours: Document | None,
    lease: Document | None,
) -> None:
    """Refuse to write what another process is writing in the target.

    Args:
        target: Where to.
        theirs: The run's document at the source.
        ours: The one in the target.
        lease: Under which this process writes it there from now on.

    Raises:
        LeaseError: If one is.
    """
    if ours is None or is_expired(ours["lease"]):
        return
    writer = ours["lease"]
    # Who spilled a run holds it still, as far as the database knows.
    was_let_go = writer["owner"] == theirs.get("spilled_by") and is_expired(
        theirs["lease"]
    )
    if was_let_go or (lease is not None and lease["owner"] == writer["owner"]):
        return
    got = f"process {writer['pid']} on {writer['host']} is writing it"
    raise held(target, ours["_id"], got)


def held(target: DBInterface, run_id: str, got: str) -> LeaseError:
    """Return the error for a run that others write in the target; ``got`` says who."""
    return LeaseError(
        f"cannot copy run {run_id!r} to {target.url}",
        expected="a run that no process is writing there",
        got=got,
        fix="stop that process first: ptutils stop " + run_id,
    )


def require_whole(
    chunks: Chunks,
    theirs: Document,
    ours: Document | None,
    checkpoints: Iterable[Document],
) -> None:
    """Refuse to copy what was put aside to where its beginning is not.

    Args:
        chunks: Listed.
        theirs: The run's document at the source.
        ours: The one in the target.
        checkpoints: Those at the source.

    Raises:
        DatabaseError: If it is not; the message says where it is.
    """
    home = theirs.get("spilled_from")
    if home is None:
        return
    source, target = chunks.urls
    aside = f"what was put aside in {source} while {home} was out of reach"
    if ours is None:
        raise DatabaseError(
            f"cannot copy run {theirs['_id']!r} to {target}",
            expected=f"the database that has its beginning: {home}",
            got=f"only {aside}",
            fix=f"ptutils import {source} --db {home}",
        )
    gap = chunks.gap(
        visible_chunks(theirs["segments"], _begin(chunks, theirs, checkpoints))
    )
    if gap:
        raise DatabaseError(
            f"cannot copy run {theirs['_id']!r} to {target}",
            expected=f"all of its History before {aside}",
            got="none of the pieces " + ", ".join(gap),
            fix=f"bring what came before first: ptutils import {home} "
            f"--where 'id = {theirs['_id']}' --db {target}",
        )


def _begin(
    chunks: Chunks, theirs: Document, checkpoints: Iterable[Document]
) -> Document:
    """Return the place in History where what was put aside begins."""
    last = len(theirs["segments"]) - 1
    there = [index for segment, index in chunks.places() if segment == last]
    if not there:  # All was written before it was out of reach.
        there = [each["chunks"] for each in checkpoints if each["segment"] == last]
        there = [max(there, default=0)]
    return {"segment": last, "chunks": there[0]}
