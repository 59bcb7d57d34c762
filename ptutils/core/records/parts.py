"""Parts of documents: a projection is answered in plain values, then made exact."""

from __future__ import annotations

from collections.abc import Sequence

from ptutils.core.hooks import Hooks
from ptutils.core.records.document import SIDECAR, is_exact, restrict, unseal
from ptutils.meta.values import Document

__all__ = ["find_parts"]


def find_parts(
    db: Hooks,
    collection: str,
    filter: Document,
    projection: Document | Sequence[str],
    *,
    sort: Sequence[tuple[str, int]] = (),
    limit: int = 0,
    skip: int = 0,
) -> list[Document]:
    """Return what a projection leaves of the documents found, of the types they had.

    Args:
        db: Where to look.
        collection: The group of documents.
        filter: In plain form.
        projection: Paths to keep, or a dict as MongoDB takes it; not empty.
        sort: Pairs of a path and 1 or -1.
        limit: How many at most; 0 means all.
        skip: How many to leave out at the beginning.
    """
    shown = (
        dict(projection)
        if isinstance(projection, dict)
        else dict.fromkeys(projection, 1)
    )
    is_id_hidden = not shown.get("_id", 1)
    if is_id_hidden:
        del shown["_id"]
    if _keeps(shown):
        shown[SIDECAR] = 1
    parts = db._find(
        collection, filter, sort=sort, limit=limit, skip=skip, projection=shown
    )
    return [_exact(db, collection, part, is_id_hidden) for part in parts]


def _exact(db: Hooks, collection: str, part: Document, is_id_hidden: bool) -> Document:
    if not is_exact(part):
        whole = db._one(collection, {"_id": part["_id"]})
        plain = {name: each for name, each in whole.items() if name != SIDECAR}
        del part[SIDECAR]
        part = restrict(unseal(whole, db._get), plain, part)
    if is_id_hidden:
        del part["_id"]
    return part


def _keeps(projection: Document) -> bool:
    """Return whether a projection names what to keep, not what to drop."""
    values = [value for name, value in projection.items() if name != "_id"]
    while values and isinstance(values[0], dict):
        values = list(values[0].values())
    return bool(values[0]) if values else bool(projection.get("_id"))
