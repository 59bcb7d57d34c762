"""Runs and their parts as ``--json`` shows them: the fields that queries know."""

from __future__ import annotations

from typing import Any

from ptutils.meta.values import Document

__all__ = ["plain_checkpoint", "plain_lineage", "plain_run"]

_FIELDS = (
    "experiment",
    "created",
    "tags",
    "notes",
    "archived",
    "lineage",
    "config",
    "status",
    "summary",
    "faults",
    "source",
)
_PARTS = ("id", "step", "epoch", "why", "created", "is_pinned", "metrics", "digest")


def plain_run(run: Any) -> Document:
    """Return what a stored run says of itself, without what only ptutils needs."""
    fields = {name: run.document[name] for name in _FIELDS if name in run.document}
    return {"id": run.id, **fields, "lineage": plain_lineage(run)}


def plain_lineage(run: Any) -> Document:
    """Return what a run came from, with the paths of its overrides as they were given.

    Dots are no part of a stored key; the values are shown as they are stored.
    """
    stored: Document = run.document["lineage"]
    changes = stored["overrides"]
    if not changes:  # Most runs; decoding takes a while.
        return stored
    paths = run.lineage["overrides"]
    return {**stored, "overrides": dict(zip(paths, changes.values(), strict=True))}


def plain_checkpoint(checkpoint: Any) -> Document:
    """Return what is known of a checkpoint besides its State."""
    return {name: getattr(checkpoint, name) for name in _PARTS}
