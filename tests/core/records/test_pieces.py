"""Pieces of History are told apart, and read so many points at a time."""

from __future__ import annotations

from typing import Any

import pytest

from ptutils.core.records.pieces import (
    Piece,
    batches,
    missing_indices,
    missing_parts,
    pieces_of,
)
from ptutils.db.memory import MemoryInterface
from ptutils.errors import CorruptError


def piece(index: int, *, part: int = 0, num_points: int = 1) -> Piece:
    return Piece(path="loss", place=(0, index), part=part, num_points=num_points)


def document(index: int, **changes: Any) -> dict[str, Any]:
    fields = {"_id": f"r.{index}", "run": "r", "path": "loss", "count": 3}
    return {**fields, "segment": 0, "index": index, **changes}


def test_pieces_are_listed_in_the_order_of_their_points() -> None:
    db = MemoryInterface()
    db._insert("history", [document(2), document(0, segment=1), document(1)])
    assert list(pieces_of(db, "r")) == ["r.1", "r.2", "r.0"]
    assert pieces_of(db, "r")["r.1"] == piece(1, num_points=3)


@pytest.mark.parametrize("count", [None, -1, "many", 2**62])
def test_piece_that_does_not_say_how_many_it_has_is_read_alone(count: Any) -> None:
    db = MemoryInterface()
    db._insert("history", [document(index, count=count) for index in range(2)])
    pieces = pieces_of(db, "r")
    assert list(batches(pieces, pieces)) == [["r.0"], ["r.1"]]


def test_document_that_is_no_piece_is_refused() -> None:
    db = MemoryInterface()
    db._insert("history", [{**document(0), "index": "1"}])
    with pytest.raises(CorruptError, match="cannot read history"):
        pieces_of(db, "r")


def test_batch_holds_so_many_points_at_most() -> None:
    pieces = {str(index): piece(index, num_points=1 << 18) for index in range(9)}
    assert [len(batch) for batch in batches(pieces, pieces)] == [4, 4, 1]


def test_batch_holds_so_many_pieces_at_most() -> None:
    pieces = {str(index): piece(index) for index in range(150)}
    assert [len(batch) for batch in batches(pieces, pieces)] == [64, 64, 22]
    assert list(batches(pieces, [])) == []


def test_missing_indices_and_parts_are_named() -> None:
    pieces = [piece(0), piece(2, part=2)]
    assert list(missing_indices(pieces, {0: 4, 1: 1})) == ["0.1", "0.3", "1.0"]
    assert list(missing_parts(pieces)) == ["0.2 of loss"]
