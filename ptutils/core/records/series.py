"""History in a database: columns in chunks, and which of them a run still counts.

Each flush writes one document per path, or several where it holds very many points. A
resume opens a new *segment* that starts at the checkpoint it went on from; chunks of
earlier segments past that place leave the History, and stay readable.

Steps that are evenly spaced are told by the first and the distance, epochs that are all
the same by one number; anything else is packed, 8 bytes per number.
"""

from __future__ import annotations

import array
import math
import operator
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from ptutils.core.records.shape import CHUNK, check
from ptutils.errors import CorruptError, DecodeError, EncodeError
from ptutils.meta.history import Chunk, History
from ptutils.meta.values import Document, Value

__all__ = ["chunk_documents", "history_of", "plain_summary", "visible_chunks"]

_MOST_POINTS: Final = 1 << 18
"""In one document: less than the 16 MiB that a MongoDB server takes."""

_MANY: Final = 1000
"""Steps are quicker made by numpy, even if it has to be asked."""


def chunk_documents(
    run_id: str, segment: int, index: int, chunks: Mapping[str, Chunk]
) -> list[Document]:
    """Return the plain documents, mostly one per path, for what a History gave."""
    return [
        _document(run_id, segment, index, path, part, chunk)
        for path, whole in chunks.items()
        for part, chunk in enumerate(_parts(whole))
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
        number, count = place["segment"], place["chunks"]
        if not 0 <= number < len(segments):
            raise CorruptError(
                "cannot read the History of a run",
                expected=f"one of its {len(segments)} segments",
                got=f"segment {number}",
                fix="restore the database from a copy",
            )
        visible[number] = None if count == sys.maxsize else count
        place = segments[number]["start"]
    return visible


def history_of(
    documents: Iterable[Document], visible: Mapping[int, int | None]
) -> History:
    """Return the History that the visible ones of some chunk documents hold."""
    visible_by_path: dict[str, list[Document]] = {}
    documents = list(documents)
    for document in documents:
        check(document, CHUNK, "history")
    for document in sorted(documents, key=_place):
        bound = visible.get(document["segment"], 0)
        if bound is None or document["index"] < bound:
            visible_by_path.setdefault(document["path"], []).append(document)
    history = History()
    for path, parts in visible_by_path.items():
        try:
            history.extend(path, _joined(parts))
        except (EncodeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise DecodeError(
                "cannot read the points of a metric",
                path=path,
                expected="steps, epochs and values that belong together",
                got=str(error),
                fix="restore the database from a copy",
            ) from error
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


def _parts(chunk: Chunk) -> list[Chunk]:
    starts = range(0, len(chunk), _MOST_POINTS)
    return [chunk[start : start + _MOST_POINTS] for start in starts]


def _document(
    run_id: str, segment: int, index: int, path: str, part: int, chunk: Chunk
) -> Document:
    return {
        "_id": f"{run_id}.{segment}.{index}.{path}" + (f".{part}" if part else ""),
        "run": run_id,
        "path": path,
        "segment": segment,
        "index": index,
        "part": part,
        "count": len(chunk),
        "first_step": chunk.steps[0],
        "last_step": chunk.steps[-1],
        "steps": _folded(chunk.steps),
        "epochs": _repeated(chunk.epochs),
        "values": _packed_values(chunk.values),
    }


def _place(document: Document) -> tuple[int, int, int]:
    return document["segment"], document["index"], document.get("part", 0)


def _joined(documents: Iterable[Document]) -> Chunk:
    """Return the points of one metric from all its documents, in order."""
    steps, epochs = array.array("q"), array.array("q")
    values: list[Sequence[Value]] = []
    for document in documents:
        found = _unpacked_values(document["values"])
        if document["count"] != len(found):  # It sizes nothing before this.
            raise ValueError(f"{len(found)} values for a count of {document['count']}")
        values.append(found)
        steps.extend(_unfolded(document["steps"], document["first_step"], len(found)))
        epochs.extend(_unrepeated(document["epochs"], len(found)))
    return Chunk(steps=steps, epochs=epochs, values=_chained(values))


def _chained(parts: Sequence[Sequence[Value]]) -> Sequence[Value]:
    if not all(isinstance(part, array.array) for part in parts):
        return list(chain.from_iterable(parts))
    numbers = array.array("d")
    for part in parts:
        numbers.extend(part)
    return numbers


def _folded(steps: Sequence[int]) -> int | bytes:
    """Return the distance of evenly spaced steps, or all of them packed."""
    distance = steps[1] - steps[0] if len(steps) > 1 else 0
    if steps[-1] == steps[0] + distance * (len(steps) - 1) and not _is_long(distance):
        even = _unfolded(distance, steps[0], len(steps))
        if all(map(operator.eq, steps, even)):
            return distance
    return _packed("q", steps)


def _unfolded(folded: Value, first: int, count: int) -> Sequence[int]:
    if isinstance(folded, bytes):
        return _unpacked("q", folded)
    if type(folded) is not int or type(first) is not int:
        raise TypeError(f"steps from {first!r:.40} by {folded!r:.40}")
    if folded:
        return _spaced(range(first, first + folded * count, folded))
    return array.array("q", [first]) * count


def _spaced(steps: range) -> Sequence[int]:
    """Return steps, packed already where that is quicker."""
    # Where there are very many, somebody mostly has numpy at work; we do not load it.
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or len(steps) < _MANY or _is_long(steps.stop):
        return steps
    packed = numpy.arange(steps.start, steps.stop, steps.step, dtype="int64").tobytes()
    return array.array("q", packed)


def _repeated(epochs: Sequence[int]) -> int | bytes:
    """Return the epoch that all have, or all of them packed."""
    is_one = all(map(epochs[0].__eq__, epochs))
    return epochs[0] if is_one else _packed("q", epochs)


def _unrepeated(repeated: Value, count: int) -> array.array[int]:
    if isinstance(repeated, bytes):
        return _unpacked("q", repeated)
    return array.array("q", [repeated]) * count


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


def _unpacked(code: str, packed: bytes, order: str = sys.byteorder) -> array.array[Any]:
    """Undo :func:`_packed`."""
    numbers: array.array[Any] = array.array(code, packed)
    if order == "big":
        numbers.byteswap()
    return numbers


def _packed_values(values: Sequence[Value]) -> Value:
    if all(type(value) is float for value in values):
        return _packed("d", values)
    # No database keeps longer ints: they are written out.
    return [hex(value) if _is_long(value) else value for value in values]


def _unpacked_values(values: Value) -> Sequence[Value]:
    if isinstance(values, bytes):
        return _unpacked("d", values)
    return [int(value, 16) if isinstance(value, str) else value for value in values]


def _is_long(value: Value) -> bool:
    return type(value) is int and not -(2**63) <= value < 2**63
