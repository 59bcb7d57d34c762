"""Shapes: what the documents of a run must look like before anybody relies on them.

A database may be damaged, or written by somebody hostile. Its documents are looked at
once, when they are read, so that all else may take them for what they say.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeAlias

from ptutils.errors import CorruptError
from ptutils.meta.values import Document, Value

__all__ = [
    "CHECKPOINT",
    "CHUNK",
    "KIN",
    "LEASE",
    "LINEAGE",
    "PLACE",
    "RUN",
    "STORED_STATE",
    "check",
    "fits",
]

Shape: TypeAlias = "type[Any] | tuple[Any, ...] | list[Any] | dict[str, Any] | None"
"""A type; one of several, the most telling last; a list of; a dict with at least these
names, of which those that end with ``?`` may be missing; None."""

_NUMBER: Final = (int, float)
_TIME: Final[Shape] = (None, datetime)
_SIDECAR: Final[Shape] = (None, {"types": str, "artifacts": [(bytes, str)]})

LEASE: Final[Shape] = {
    "owner": str,
    "host": str,
    "pid": int,
    "boot": str,
    "born": (None, int),
    "expires": datetime,
}
LINEAGE: Final[Shape] = {
    "verb": str,
    "parent": (None, str),
    "checkpoint": (None, str),
    "overrides": dict,
    "database?": str,
}
_PROGRESS: Final[Shape] = {"step": int, "epoch": int, "fraction": (None, *_NUMBER)}
_STATUS: Final[Shape] = {
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
PLACE: Final[Shape] = {"segment": int, "chunks": int}
RUN: Final[Shape] = {
    "_id": str,
    "created": datetime,
    "experiment": str,
    "tags": [str],
    "notes": str,
    "config": dict,
    "source": dict,
    "lineage": LINEAGE,
    "_ptutils": _SIDECAR,
    "status": _STATUS,
    "summary": dict,
    "lease": (None, LEASE),
    "segments": [{"start": (None, PLACE), "config?": dict, "_ptutils?": _SIDECAR}],
}
"""Of the collection ``runs``; segments start in earlier ones."""

CHECKPOINT: Final[Shape] = {
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
STORED_STATE: Final[Shape] = {
    "_id": str,
    "state": {"digest": str, "skeleton": str, "types": str},
    "artifacts": [(bytes, str)],
}
"""Of the collection ``checkpoints``, what only the reader of a State reads."""

CHUNK: Final[Shape] = {
    "_id": str,
    "run": str,
    "path": str,
    "segment": int,
    "index": int,
    "part?": int,
}
"""Of the collection ``history``; its columns are looked at where they are read."""

KIN: Final[Shape] = {
    "_id": str,
    "lineage": LINEAGE,
    "status": {"phase": str, "progress": {"step": int}},
}
"""What the tree of a family shows of a run."""


def check(document: Document, shape: Shape, collection: str) -> None:
    """Refuse a document that is none of ours.

    Raises:
        CorruptError: If it has another shape; the message names the place.
    """
    fault = "" if fits(document, shape) else _fault(document, shape, "")
    if not fault and shape is RUN:
        fault = _false_start(document["segments"])
    if fault:
        identity = document.get("_id")
        raise CorruptError(
            f"cannot read {collection}.{identity!s:.40}",
            expected="a document as ptutils writes it",
            got=fault,
            fix="restore it from a copy, or leave it out: "
            f"{{'_id': {{'$ne': {identity!r:.40}}}}}; ptutils verify finds all such",
        )


def fits(value: Value, shape: Any) -> bool:
    """Return whether a value has a shape."""
    kind = type(shape)
    if kind is tuple:
        return any(fits(value, each) for each in shape)
    if kind is list:
        return type(value) is list and all(fits(item, shape[0]) for item in value)
    if kind is dict:
        return type(value) is dict and all(
            fits(value[name], inner)
            if name in value
            else name[-1] == "?"
            and (name[:-1] not in value or fits(value[name[:-1]], inner))
            for name, inner in shape.items()
        )
    return value is None if shape is None else type(value) is shape


def _fault(value: Value, shape: Any, path: str) -> str:
    """Return what is wrong, and where, or "" if nothing is."""
    if isinstance(shape, tuple):
        faults = [_fault(value, each, path) for each in shape]
        return "" if "" in faults else faults[-1]
    if isinstance(shape, dict):
        return _fault(value, dict, path) or _fault_inside(value, shape, path)
    if isinstance(shape, list):
        rows = enumerate(value) if type(value) is list else ()
        inner = (_fault(item, shape[0], f"{path}.{i}") for i, item in rows)
        return _fault(value, list, path) or next(filter(None, inner), "")
    is_right = value is None if shape is None else type(value) is shape
    wanted = "null" if shape is None else shape.__name__
    return "" if is_right else f"{path.lstrip('.')}: {value!r:.60}, not {wanted}"


def _fault_inside(value: Document, shape: dict[str, Any], path: str) -> str:
    for name, inner in shape.items():
        known = name.removesuffix("?")
        if known in value:
            fault = _fault(value[known], inner, f"{path}.{known}")
        else:
            fault = "" if name != known else f"no {f'{path}.{known}'.lstrip('.')}"
        if fault:
            return fault
    return ""


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
