"""History in a database: columns in chunks, and which of them a run still counts.

Each flush writes one document per path. A resume opens a new *segment* that starts at
the checkpoint it went on from; chunks of earlier segments past that place leave the
History, and stay readable.
"""

from __future__ import annotations

import array
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from ptutils.meta.history import Chunk, History
from ptutils.meta.values import Document, Value

__all__ = ["chunk_documents", "history_of", "plain_summary", "visible_chunks"]

_Number = TypeVar("_Number", int, float)


def chunk_documents(
    run_id: str, segment: int, index: int, chunks: Mapping[str, Chunk]
) -> list[Document]:
    """Return one plain document per path for what was taken from a History."""
    return [
        {
            "_id": f"{run_id}.{segment}.{index}.{path}",
            "run": run_id,
            "path": path,
            "segment": segment,
            "index": index,
            "count": len(chunk.steps),
            "first_step": chunk.steps[0],
            "last_step": chunk.steps[-1],
            "steps": _packed("q", chunk.steps),
            "epochs": _packed("q", chunk.epochs),
            "values": _packed_values(chunk.values),
        }
        for path, chunk in chunks.items()
    ]


def visible_chunks(
    segments: Sequence[Document], last: Mapping[str, int] | None = None
) -> dict[int, int | None]:
    """Return how many chunks of each segment count: ``None`` means all of them.

    Args:
        segments: As the run's document holds them.
        last: Stop at this checkpoint's ``segment`` and ``chunks``.
    """
    if last is None:
        last = {"segment": len(segments) - 1, "chunks": sys.maxsize}
    place: Mapping[str, int] | None = last
    visible: dict[int, int | None] = {}
    while place is not None:
        count = place["chunks"]
        visible[place["segment"]] = None if count == sys.maxsize else count
        place = segments[place["segment"]]["start"]
    return visible


def history_of(
    documents: Iterable[Document], visible: Mapping[int, int | None]
) -> History:
    """Return the History that the visible ones of some chunk documents hold."""
    history = History()
    for document in sorted(documents, key=lambda d: (d["segment"], d["index"])):
        bound = visible.get(document["segment"], 0)
        if bound is None or document["index"] < bound:
            history.extend(document["path"], _unpacked(document))
    history.take()  # They are stored already.
    return history


def plain_summary(summary: Document) -> Document:
    """Return a History's summary with ints of more than 64 bits as floats.

    Databases compare runs by it; the History itself stays exact.
    """
    return {
        name: plain_summary(value)
        if isinstance(value, dict)
        else _as_float(value)
        if _is_long(value)
        else value
        for name, value in summary.items()
    }


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _unpacked(document: Document) -> Chunk:
    values = document["values"]
    return Chunk(
        steps=_filled(array.array("q"), document["steps"]),
        epochs=_filled(array.array("q"), document["epochs"]),
        values=_filled(array.array("d"), values)
        if isinstance(values, bytes)
        else [int(v, 16) if isinstance(v, str) else v for v in values],
    )


def _packed(
    code: str, column: Iterable[int] | Iterable[float], order: str = sys.byteorder
) -> bytes:
    """Return a column as bytes, 8 per number, little-endian on every machine.

    Args:
        code: ``q`` or ``d``.
        column: The numbers.
        order: In which this machine keeps bytes.
    """
    numbers = array.array(code, column)
    if order == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _packed_values(values: Sequence[Value]) -> Value:
    if all(type(value) is float for value in values):
        return _packed("d", values)
    # No database keeps longer ints: they are written out.
    return [hex(value) if _is_long(value) else value for value in values]


def _is_long(value: Value) -> bool:
    return type(value) is int and not -(2**63) <= value < 2**63


def _filled(
    numbers: array.array[_Number], packed: bytes, order: str = sys.byteorder
) -> array.array[_Number]:
    """Undo :func:`_packed` into an empty array."""
    numbers.frombytes(packed)
    if order == "big":
        numbers.byteswap()
    return numbers
