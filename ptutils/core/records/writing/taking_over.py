"""Taking over: a run that nobody writes any more gets a writer, and a new segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptutils.core.records.checkpoint import OLDEST_FIRST, encode_fields
from ptutils.core.records.document import SIDECAR
from ptutils.core.records.identity import is_expired
from ptutils.errors import DatabaseError, LeaseError, NotFoundError
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["require_free", "require_newest", "take_over"]


def take_over(
    db: DBInterface,
    run_id: str,
    lease: Document,
    changes: Document,
    encoded: Document,
    start: Document,
) -> Document:
    """Hold a run that nobody holds, and open a new segment of its History.

    Where the config changes, the last segment keeps the one that its checkpoints were
    taken under.

    Args:
        db: Where the run is.
        run_id: Its id.
        lease: As it is from now on.
        changes: Plain fields as they are from now on.
        encoded: Config, source and lineage as they are from now on.
        start: The checkpoint's ``segment`` and ``chunks``: where History goes on.

    Returns:
        The run's document.

    Raises:
        LeaseError: If another process holds it; the message says which.
        NotFoundError: If it is gone.
    """
    document = _document(db, run_id)
    require_free(document, lease["owner"])
    fields = encode_fields(db, encoded)
    *earlier, last = document["segments"]
    before = {name: document[name] for name in ("config", SIDECAR)}
    if any(fields[name] != before[name] for name in before):
        last = {**before, **last}
    changes = {
        **changes,
        **fields,
        "segments": [*earlier, last, {"start": start}],
        "lease": lease,
    }
    # Whoever read the same lease at the same moment comes too late. In a transaction
    # it would be told that somebody wrote the same, and not who.
    unchanged = {"_id": run_id, "lease": document["lease"]}
    if db._update("runs", unchanged, {"$set": changes}):
        return {**document, **changes}
    require_free(_document(db, run_id), lease["owner"])
    raise LeaseError(
        f"cannot write run {run_id!r}",
        expected="a run that no process is writing",
        got="one that another process took over at this moment, and let go of since",
        fix="resume it again, from where that process left it",
    )


def require_newest(
    first: DBInterface, others: Sequence[DBInterface], run_id: str
) -> None:
    """Refuse to go on with a run in one database that went further in another.

    Raises:
        DatabaseError: If it did; the message says how to bring it here.
    """
    for other in others:
        try:
            is_ahead = _reached(other, run_id) > _reached(first, run_id)
        except DatabaseError:
            continue  # It is reported when the run is to be written there.
        if is_ahead:
            raise DatabaseError(
                f"cannot go on with run {run_id!r} where it is behind",
                path=first.url,
                expected="the newest checkpoint in the first of its databases",
                got=f"a newer one in {other.url}",
                fix=f"ptutils import {other.url} --where 'id = {run_id}' "
                f"--db {first.url}",
            )


def _reached(db: DBInterface, run_id: str) -> tuple[int, ...]:
    """Return how far the newest checkpoint of a run is, to be compared."""
    order = [(path, -1) for path, _ in OLDEST_FIRST]
    names = [path for path, _ in OLDEST_FIRST if path != "created"]
    newest = db._find(
        "checkpoints", {"run": run_id}, sort=order, limit=1, projection=names
    )
    return tuple(newest[0][name] for name in names) if newest else ()


def require_free(document: Document, owner: str = "") -> None:
    """Refuse a run that another process holds, and say which.

    Args:
        document: The run's.
        owner: Who may hold it.

    Raises:
        LeaseError: If somebody else does.
    """
    held = document["lease"]
    if is_expired(held) or held["owner"] == owner:
        return
    raise LeaseError(
        f"cannot write run {document['_id']!r}",
        expected="a run that no process is writing",
        got=f"process {held['pid']} on {held['host']} is writing it; its lease "
        f"holds until {held['expires']:%H:%M:%S} UTC",
        fix="stop that process, or branch the run instead",
    )


def _document(db: DBInterface, run_id: str) -> Document:
    for document in db._find("runs", {"_id": run_id}, limit=1):
        return document
    raise NotFoundError(
        f"run {run_id!r} is not in the database",
        expected="a run that was not deleted",
        got="no such run",
        fix="start anew from its config",
    )
