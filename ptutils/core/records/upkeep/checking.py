"""Checks of single documents: each raises what loading it would, or says what lacks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ptutils.core.records.checkpoint import check_state, decode_fields
from ptutils.core.records.series import history_of, plain_summary, visible_chunks
from ptutils.core.records.upkeep.garbage import each_document
from ptutils.errors import DecodeError
from ptutils.meta.codec import dumps
from ptutils.meta.history import History
from ptutils.meta.status import Phase, Status
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["check_checkpoint", "check_history", "check_run"]


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
    before them. What a completed run says of its metrics must be what they are.

    Raises:
        DecodeError: If points cannot be read.
    """
    chunks = list(each_document(db, "history", filter={"run": run["_id"]}))
    for chunk in chunks:
        history_of([chunk], {chunk["segment"]: None})
    if "spilled_from" in run:
        return ""  # What came before it is in another database.
    places = [segment["start"] or {} for segment in run["segments"]]
    places += [each for each in checkpoints if each["run"] == run["_id"]]
    missing = _missing(chunks, places)
    if missing:
        return "missing are the pieces " + ", ".join(missing)
    history = history_of(chunks, visible_chunks(run["segments"]))
    if run["status"]["phase"] == Phase.COMPLETED and _differ(history, run):
        return "the points are others than the run's summary was made of"
    return ""


def _missing(chunks: list[Document], places: Iterable[Document]) -> list[str]:
    """Return which indices, and parts of them, are not there: ``SEGMENT.INDEX``."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    parts: defaultdict[tuple[int, int, str], set[int]] = defaultdict(set)
    for chunk in chunks:
        segment, index = chunk["segment"], chunk["index"]
        found[segment].add(index)
        parts[segment, index, chunk["path"]].add(chunk.get("part", 0))
    counts = {segment: max(indices) + 1 for segment, indices in found.items()}
    for place in places:
        segment = place.get("segment", 0)
        counts[segment] = max(counts.get(segment, 0), place.get("chunks", 0))
    missing = [
        f"{segment}.{index}"
        for segment, count in sorted(counts.items())
        for index in range(count)
        if index not in found[segment]
    ]
    return missing + [
        f"{segment}.{index} of {path}"
        for (segment, index, path), there in sorted(parts.items())
        if len(there) <= max(there)
    ]


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
