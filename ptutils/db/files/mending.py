"""Damaged checkpoints: written again from what stands in for them, or put aside."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ptutils.core.records.document import new_id
from ptutils.core.records.identity import now
from ptutils.core.records.upkeep.garbage import DAMAGED
from ptutils.db.artifacts import DAMAGED_FILES
from ptutils.db.files.batch import Batch
from ptutils.db.files.checkpoints import CheckpointForm, tensors_beside
from ptutils.db.files.form import DocumentForm
from ptutils.db.files.rows import Row
from ptutils.db.filters.order import key
from ptutils.errors import CorruptError, NotFoundError
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.db.files.folder import Folder

__all__ = ["mend"]


def mend(
    folder: Folder, form: CheckpointForm, path: Path, row: Row | None, what: str
) -> str:
    """Move a checkpoint's damaged files aside; the lock is held for writing.

    Its document goes to the collection of those that cannot be loaded, unless other
    files hold all that is missing.

    Args:
        folder: Of the database.
        form: Reads and writes checkpoints.
        path: Of the JSON.
        row: What it holds, if it can be read.
        what: Is wrong.

    Returns:
        Where the files are now, in words.
    """
    batch = Batch(folder.root)
    moment = f"{now():%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"
    name = f"{path.parent.parent.name[:60]}.{path.stem[:100]}.{moment}"
    aside = folder.root / DAMAGED_FILES / name
    whole = _whole(folder, form, path, row)
    tensors = tensors_beside(path)
    if tensors.exists():
        batch.move(tensors, aside.with_name(f"{name}.safetensors"))
    with folder.translated():
        try:
            if whole is not None:
                form.write(batch, path, [], [whole])
            else:
                damaged = _damaged(folder, path, row, what)
                target = DocumentForm(folder.root, DAMAGED)
                target.write(batch, target.path_of(damaged), [], [damaged])
                batch.move(path, aside.with_name(f"{name}.json"))
            batch.commit()
        finally:
            batch.discard()
        folder.lock.tell()
    return f"kept as {DAMAGED_FILES}/{name}"


def _whole(
    folder: Folder, form: CheckpointForm, path: Path, row: Row | None
) -> Row | None:
    """Return a checkpoint with all its bytes, if they can be read anywhere."""
    if row is None:
        return None
    try:
        document = form.whole(row, path)
        for item in document["artifacts"]:
            if isinstance(item, str):
                folder.holding.read(item)
    except (CorruptError, NotFoundError):
        return None
    return replace(row, document=document, is_whole=True)


def _damaged(folder: Folder, path: Path, row: Row | None, what: str) -> Row:
    if row is not None:
        return replace(row, document={**row.document, "damage": what})
    document: Document = {
        "_id": new_id(),
        "collection": "checkpoints",
        "text": path.read_bytes().decode(errors="replace"),
        "damage": what,
    }
    return Row(key(document["_id"]), folder.lock.next_place(), document)
