"""Shapes: what the documents of a run must look like before anybody relies on them.

A database may be damaged, or written by somebody hostile. Its documents are looked at
once, when they are read, so that all else may take them for what they say.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from ptutils.core.records.form import Form, Shape
from ptutils.errors import CorruptError
from ptutils.meta.values import Document

__all__ = [
    "CHECKPOINT",
    "CHUNK",
    "KIN",
    "LEASE",
    "RUN",
    "STORED_STATE",
    "check",
]

_NUMBER: Final = (int, float)
_TIME: Final[Form] = (None, datetime)
_ARTIFACTS: Final[dict[str, Form]] = {"artifacts": [(bytes, str)], "slices?": [int]}
_SIDECAR: Final[Form] = (None, {"types": str, **_ARTIFACTS})

_LEASE: Final[Form] = {
    "owner": str,
    "host": str,
    "pid": int,
    "boot": str,
    "born": (None, int),
    "expires": datetime,
}
_LINEAGE: Final[Form] = {
    "verb": str,
    "parent": (None, str),
    "checkpoint": (None, str),
    "overrides": dict,
    "database?": str,
}
_PROGRESS: Final[Form] = {"step": int, "epoch": int, "fraction": (None, *_NUMBER)}
_STATUS: Final[Form] = {
    "phase": str,
    "origin": str,
    "progress": _PROGRESS,
    "eta_s": (None, *_NUMBER),
    "host": (None, str),
    "pid": (None, int),
    "started": _TIME,
    "ended": _TIME,
    "heartbeat": _TIME,
    "reason": str,
    "exception": (None, {"type": str, "message": str, "traceback": str}),
}
_PLACE: Final[Form] = {"segment": int, "chunks": int}
RUN: Final = Shape(
    {
        "_id": str,
        "created": datetime,
        "experiment": str,
        "tags": [str],
        "notes": str,
        "config": dict,
        "source": dict,
        "lineage": _LINEAGE,
        "_ptutils": _SIDECAR,
        "status": _STATUS,
        "summary": dict,
        "lease": (None, _LEASE),
        "segments": [{"start": (None, _PLACE), "config?": dict, "_ptutils?": _SIDECAR}],
    }
)
"""Of the collection ``runs``; segments start in earlier ones."""

LEASE: Final = Shape(_LEASE)
"""Of who writes a run."""

CHECKPOINT: Final = Shape(
    {
        "_id": str,
        "run": str,
        "created": datetime,
        "segment": int,
        "chunks": int,
        "step": int,
        "epoch": int,
        "why": str,
        "pinned": bool,
        "metrics": dict,
        "elapsed_s": _NUMBER,
        "state": {"digest": str},
        "config?": dict,
        "_ptutils?": _SIDECAR,
    }
)
STORED_STATE: Final = Shape(
    {
        "_id": str,
        "state": {"digest": str, "skeleton": str, "types": str},
        **_ARTIFACTS,
    }
)
"""Of the collection ``checkpoints``, what only the reader of a State reads."""

CHUNK: Final = Shape(
    {
        "_id": str,
        "run": str,
        "path": str,
        "segment": int,
        "index": int,
        "part?": int,
    }
)
"""Of the collection ``history``; its columns are looked at where they are read."""

KIN: Final = Shape(
    {
        "_id": str,
        "lineage": _LINEAGE,
        "status": {"phase": str, "progress": {"step": int}},
    }
)
"""What the tree of a family shows of a run."""


def check(document: Document, shape: Shape, collection: str) -> None:
    """Refuse a document that is none of ours.

    Raises:
        CorruptError: If it has another shape; the message names the place.
    """
    fault = shape.fault(document)
    if not fault and shape is RUN:
        fault = _false_start(document["segments"])
    if fault:
        identity = document.get("_id")
        raise CorruptError(
            f"cannot read {collection}.{identity!s:.40}",
            expected="a document as ptutils writes it",
            got=fault,
            fix="find all such with: ptutils verify; restore it from a copy, or drop "
            f"it: db.delete({{'_id': {identity!r:.40}}}, {collection!r})",
        )


def _false_start(segments: list[Document]) -> str:
    """Return what is wrong if a segment does not go on from an earlier one."""
    if not segments:
        return "no segments"
    for number, segment in enumerate(segments):
        start = segment["start"]
        is_right = number == 0 or start is None or 0 <= start["segment"] < number
        if not is_right or (number == 0 and start is not None):
            return f"segments.{number}.start: {start!r:.60}"
    return ""
