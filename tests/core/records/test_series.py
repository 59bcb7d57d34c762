"""History comes back from a database, and a resume leaves the right part of it."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest

from ptutils.core.records import series
from ptutils.core.records.series import chunk_documents, history_of, visible_chunks
from ptutils.errors import DecodeError
from ptutils.meta.codec import dumps, loads
from ptutils.meta.history import Chunk, History


def documents_of(
    values: dict[str, list[Any]], segment: int = 0, index: int = 0, first: int = 1
) -> list[dict[str, Any]]:
    history = History()
    for path, column in values.items():
        for offset, value in enumerate(column):
            history.record(first + offset, 0, path, value)
    return chunk_documents("r", segment, index, history.take())


def read(documents: list[dict[str, Any]], visible: Any, path: str = "loss") -> Any:
    return list(history_of(documents, visible)[path].values)


@pytest.mark.parametrize(
    "values",
    [
        [0.5, -0.0, math.inf],
        [1, -(2**63), 2**63 - 1],
        [True, False],
        [1, 2.0, True],
        [2**64, -1],
    ],
)
def test_values_come_back_with_their_types(values: list[Any]) -> None:
    stored = [loads(dumps(each)) for each in documents_of({"loss": values})]
    found = read(stored, {0: None})
    assert [(type(each), repr(each)) for each in found] == [
        (type(each), repr(each)) for each in values
    ]


def test_nan_comes_back() -> None:
    (found,) = read(documents_of({"loss": [math.nan]}), {0: None})
    assert math.isnan(found)


def test_document_says_what_it_holds() -> None:
    (document,) = documents_of({"loss": [0.5, 0.25, 0.125]}, 2, 7, first=10)
    assert document["_id"] == "r.2.7.loss"
    assert (document["run"], document["path"]) == ("r", "loss")
    assert (document["segment"], document["index"], document["count"]) == (2, 7, 3)
    assert (document["first_step"], document["last_step"]) == (10, 12)
    assert (document["steps"], document["epochs"]) == (1, 0)
    assert document["values"] == struct.pack("<3d", 0.5, 0.25, 0.125)


@pytest.mark.parametrize(
    ("steps", "stored"),
    [
        ([7], 0),
        ([3, 3, 3], 0),
        ([5, 3, 1], -2),
        ([1, 2, 4], struct.pack("<3q", 1, 2, 4)),
        ([1, 3, 2, 4], struct.pack("<4q", 1, 3, 2, 4)),
        ([1, 3, 4, 7], struct.pack("<4q", 1, 3, 4, 7)),
        ([-(2**63), 2**63 - 1], struct.pack("<2q", -(2**63), 2**63 - 1)),
        ([2**63 - 2, 2**63 - 1], 1),
    ],
)
def test_steps_are_stored_as_their_distance_if_they_are_even(
    steps: list[int], stored: Any
) -> None:
    (document,) = chunk_documents("r", 0, 0, {"a": Chunk(steps, steps, steps)})
    column = history_of([loads(dumps(document))], {0: None})["a"]
    assert document["steps"] == stored
    assert list(column.steps) == list(column.epochs) == list(column.values) == steps


@pytest.mark.parametrize("count", [999, 1000, 5000])
@pytest.mark.parametrize("distance", [1, 3, -2])
def test_many_even_steps_come_back(count: int, distance: int) -> None:
    steps = range(5, 5 + distance * count, distance)
    (document,) = chunk_documents("r", 0, 0, {"a": Chunk(steps, steps, steps)})
    assert document["steps"] == distance
    assert list(history_of([document], {0: None})["a"].steps) == list(steps)


def test_very_many_points_are_stored_in_several_documents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(series, "_MOST_POINTS", 2)
    documents = documents_of({"loss": [1.0, 2.0, 3.0, 4.0, 5.0]})
    assert [each["_id"] for each in documents] == [
        "r.0.0.loss",
        "r.0.0.loss.1",
        "r.0.0.loss.2",
    ]
    assert read(documents[::-1], {0: None}) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_points_of_an_older_release_can_be_read() -> None:
    (document,) = documents_of({"loss": [0.5, 0.25]})
    del document["part"]
    document |= {"steps": struct.pack("<2q", 1, 2), "epochs": struct.pack("<2q", 0, 0)}
    column = history_of([document], {0: None})["loss"]
    assert (list(column.steps), list(column.epochs)) == ([1, 2], [0, 0])


@pytest.mark.parametrize(
    "damage",
    [
        {"count": 10**18},
        {"values": b"odd"},
        {"values": struct.pack("<d", 1.0)},
        {"values": None},
        {"steps": "1"},
        {"steps": 2**63},
        {"steps": struct.pack("<q", 1)},
        {"first_step": None},
        {"epochs": [1]},
    ],
)
def test_damaged_points_are_refused(damage: dict[str, Any]) -> None:
    (document,) = documents_of({"loss": [0.5, 0.25]})
    with pytest.raises(DecodeError, match="cannot read the points of a metric"):
        history_of([document | damage], {0: None})


def test_bytes_are_little_endian_on_every_machine() -> None:
    little = series._packed("d", [1.5, -2.0], "little")
    assert little == struct.pack("<2d", 1.5, -2.0)
    assert series._packed("d", [1.5, -2.0], "big") == struct.pack(">2d", 1.5, -2.0)
    big = series._unpacked("d", struct.pack(">2d", 1.5, -2.0), "big")
    assert list(big) == list(series._unpacked("d", little, "little")) == [1.5, -2]


def test_history_that_was_read_is_not_written_again() -> None:
    history = history_of(documents_of({"loss": [0.5]}), {0: None})
    assert history.take() == {}


def test_chunks_are_joined_in_order_however_they_are_found() -> None:
    late = documents_of({"loss": [3.0]}, 0, 10, first=3)
    middle = documents_of({"loss": [2.0]}, 0, 9, first=2)
    early = documents_of({"loss": [1.0]}, 0, 0, first=1)
    assert read(late + early + middle, {0: None}) == [1.0, 2.0, 3.0]


def test_run_that_was_never_resumed_shows_all() -> None:
    assert visible_chunks([{"start": None}]) == {0: None}


def test_history_at_a_checkpoint_ends_there() -> None:
    segments = [{"start": None}]
    assert visible_chunks(segments, {"segment": 0, "chunks": 3}) == {0: 3}


def test_each_resume_hides_what_came_after_its_checkpoint() -> None:
    segments = [
        {"start": None},
        {"start": {"segment": 0, "chunks": 4}},
        {"start": {"segment": 1, "chunks": 2}},
    ]
    assert visible_chunks(segments) == {2: None, 1: 2, 0: 4}


def test_resume_from_an_earlier_segment_skips_those_between() -> None:
    segments = [
        {"start": None},
        {"start": {"segment": 0, "chunks": 4}},
        {"start": {"segment": 0, "chunks": 1}},
    ]
    documents = [
        *documents_of({"loss": [1.0]}, 0, 0, first=1),
        *documents_of({"loss": [9.0]}, 0, 1, first=2),
        *documents_of({"loss": [9.5]}, 1, 0, first=2),
        *documents_of({"loss": [2.0]}, 2, 0, first=2),
    ]
    assert visible_chunks(segments) == {2: None, 0: 1}
    assert read(documents, visible_chunks(segments)) == [1.0, 2.0]


def test_resume_from_the_very_start_leaves_nothing_of_before() -> None:
    segments = [{"start": None}, {"start": {"segment": 0, "chunks": 0}}]
    documents = documents_of({"loss": [1.0]}, 0, 0)
    assert history_of(documents, visible_chunks(segments)).paths() == []
