"""Checks of single documents: each raises what loading it would, or says what lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from ptutils.core.records.checkpoint import check_state, decode_fields
from ptutils.core.records.pieces import (
    Piece,
    batches,
    missing_indices,
    missing_parts,
    pieces_of,
)
from ptutils.core.records.series import history_of, plain_summary, visible_chunks
from ptutils.errors import DecodeError
from ptutils.meta.codec import dumps
from ptutils.meta.column import Column
from ptutils.meta.history import Chunk, History
from ptutils.meta.status import Phase, Status
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["check_checkpoint", "check_history", "check_run"]

_MOST_NAMED: Final = 20


def check_checkpoint(db: DBInterface, document: Document) -> None:
    """Check the digest of a checkpoint's State, and its config; read no other artifact.

    Raises:
        PtutilsError: What loading it would raise.
    """
    check_state(document)
    if "config" in document:
        decode_fields(db, document, ["config"])


def check_run(db: DBInterface, document: Document) -> None:
    """Check that everything but the History of a run can be read.

    Raises:
        PtutilsError: What reading it would raise.
    """
    Status().load_state_dict(document["status"])
    decode_fields(db, document, ["config", "source", "lineage"])
    for number, segment in enumerate(document["segments"]):
        if "config" in segment:
            decode_fields(db, segment, ["config"])
        start = segment["start"]
        if start is not None and not 0 <= start["segment"] < number:
            raise DecodeError(
                "cannot read the History of this run",
                path=f"segments.{number}.start",
                expected="an earlier segment",
                got=str(start["segment"]),
            )


def check_history(
    db: DBInterface, run: Document, checkpoints: Iterable[Document]
) -> str:
    """Read all History of a run; return what it lacks, in words, or "".

    Each flush wrote the next index of its segment, and checkpoints say how many came
    before them. What a completed run says of its metrics must be what they are. Few
    points are in memory at once.

    Args:
        db: Where it is.
        run: Its document.
        checkpoints: ``segment`` and ``chunks`` of each of its checkpoints.

    Raises:
        DecodeError: If points cannot be read.
    """
    pieces = pieces_of(db, run["_id"])
    told = _outlined(db, pieces, visible_chunks(run["segments"]))
    if "spilled_from" in run:
        return ""  # What came before it is in another database.
    starts = [segment["start"] or {} for segment in run["segments"]]
    missing = _missing(pieces.values(), [*starts, *checkpoints])
    if missing:
        return "missing are the pieces " + missing
    if run["status"]["phase"] == Phase.COMPLETED and _differ(told, run):
        return "the points are others than the run's summary was made of"
    return ""


def _outlined(
    db: DBInterface, pieces: Mapping[str, Piece], visible: Mapping[int, int | None]
) -> History:
    """Read all points; return a History of the few that the summary is made of."""
    outline = History()
    for batch in batches(pieces, pieces):
        chunks = {
            each["_id"]: each for each in db._find("history", {"_id": {"$in": batch}})
        }
        for name in filter(chunks.__contains__, batch):
            path, (segment, index) = pieces[name].path, pieces[name].place
            read = history_of([chunks[name]], {segment: None})
            bound = visible.get(segment, 0)
            if path in read and (bound is None or index < bound):
                outline.extend(path, _outline(read, path))
    return outline


def _outline(history: History, path: str) -> Chunk:
    """Return the first, the least, the greatest and the last point of a metric."""
    column = history[path]
    extremes = [column.best("min"), column.best("max")]
    extremes.sort(key=lambda point: point.step)
    points = [column.first, *extremes, column.last]
    return Column(
        [point.step for point in points],
        [point.epoch for point in points],
        [point.value for point in points],
    )


def _missing(pieces: Collection[Piece], places: Iterable[Document]) -> str:
    """Return which indices, and parts of them, are not there, by name."""
    counts: dict[int, int] = {}
    for segment, index in (piece.place for piece in pieces):
        counts[segment] = max(counts.get(segment, 0), index + 1)
    for place in places:
        segment = place.get("segment", 0)
        counts[segment] = max(counts.get(segment, 0), place.get("chunks", 0))
    found = chain(missing_indices(pieces, counts), missing_parts(pieces))
    names = list(islice(found, _MOST_NAMED + 1))  # A damaged count may be any number.
    more = " and more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _differ(history: History, run: Document) -> bool:
    found, told = plain_summary(history.summary()), run["summary"]
    return sorted(_leaves(found)) != sorted(_leaves(told))


def _leaves(tree: Document, above: str = "") -> list[tuple[str, str]]:
    """Return text for each value, by path: NaN equals itself then."""
    return [
        leaf
        for name, value in tree.items()
        for leaf in (
            _leaves(value, f"{above}{name}.")
            if isinstance(value, dict)
            else [(f"{above}{name}", dumps(value))]
        )
    ]
