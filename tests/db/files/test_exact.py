"""Every plain document comes back equal from its readable file, or from JSON."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptutils.core.records.series import chunk_documents
from ptutils.db.files.interface import FileInterface
from ptutils.meta.codec import dumps
from ptutils.meta.column import Chunk
from ptutils.testing.values import plain_values
from tests.db.files.samples import Recorded, odd_nan

_ODD_TEXT = ["no", "yes", "null", "~", "1e3", "1e-3", "0x1f", "2026-01-02", "1:30",
             "2026-01-02 03:04:05", "- a", "a: b", "#", "!!x", "<<", "=", "", " a ",
             "a\nb", "\t", "'",
             '"', "\N{ROCKET}", "\x85", "\u2028", "\ufeff", "\x7f"]  # fmt: skip
_VALUES = plain_values | st.sampled_from(_ODD_TEXT)
_POINTS = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1),
        st.integers(-(2**63), 2**63 - 1),
        st.floats() | st.integers() | st.booleans() | st.just(odd_nan()),
    ),
    min_size=1,
    max_size=8,
)


def _again(collection: str, *documents: Any) -> tuple[list[Any], list[str]]:
    """Store documents; return what another process finds, and the files."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"{folder}/lab"
        FileInterface(url)._insert(collection, documents)
        files = [path.name for path in Path(url).rglob("*.*") if path.is_file()]
        return FileInterface(url)._find(collection, {}), files


@settings(max_examples=60, deadline=None)
@given(_VALUES)
def test_any_run_comes_back(value: Any) -> None:
    run = {"_id": "r", "config": {"value": value}, "_ptutils": None, "list": [value]}
    found, _ = _again("runs", run)
    assert dumps(found) == dumps([run])


@settings(max_examples=60, deadline=None)
@given(_VALUES)
def test_any_document_comes_back(value: Any) -> None:
    document = {"_id": "r", "value": value}
    found, _ = _again("c", document)
    assert dumps(found) == dumps([document])


@settings(max_examples=60, deadline=None)
@given(_POINTS, st.sampled_from(["loss", "a.b", 'x"y', "a,b", " ", "é", "a\nb"]))
def test_any_points_come_back(points: list[Any], path: str) -> None:
    steps, epochs, values = zip(*points, strict=True)
    chunk = Chunk(list(steps), list(epochs), list(values))
    documents = chunk_documents("r", 0, 3, {path: chunk})
    found, files = _again("history", *documents)
    assert dumps(found) == dumps(documents)
    assert ("history.csv" in files) == ("\n" not in path)


@pytest.mark.parametrize("sidecar", [None, {}, {"place": 1}, 5, {"value": None}])
def test_any_sidecar_comes_back(sidecar: Any) -> None:
    document = {"_id": "r", "_ptutils": sidecar, "after": 1}
    for collection in ("runs", "c"):
        assert _again(collection, document)[0] == [document]


@pytest.mark.parametrize("value", _ODD_TEXT)
def test_odd_texts_stay_in_yaml(value: str) -> None:
    found, files = _again("runs", {"_id": "r", "value": value})
    assert found == [{"_id": "r", "value": value}]
    assert "run.yaml" in files


def test_odd_numbers_are_told_in_history(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    values = [1e-5, math.inf, -math.inf, math.nan, -math.nan, odd_nan(), 2**70, 7, True]
    for step, value in enumerate(values, 10):
        recorded.writer.history.record(step, 1, "odd", value)
    recorded.writer.save(20)
    lines = (recorded.folder / "history.csv").read_text().splitlines()
    told = [line.split(",")[3] for line in lines if ",odd," in line]
    assert told == ["1e-05", "inf", "-inf", "nan", "-nan", "nan(0x7ff80000000000aa)",
                    str(2**70), "7", "True"]  # fmt: skip


def test_documents_of_another_shape_are_kept_beside(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    documents = {
        "history": {"_id": "a", "run": "r", "path": "loss", "segment": 0},
        "checkpoints": {"_id": "r.1", "run": "r", "state": {}, "artifacts": []},
    }
    for collection, document in documents.items():
        db._insert(collection, [document])
        found = FileInterface(db.url.removeprefix("files:"))._find(collection, {})
        assert found == [document]


def test_checkpoint_whose_artifact_is_not_here_is_kept_as_it_is(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    state = {"skeleton": "{}", "types": "", "digest": "x"}
    document = {"_id": "r.1", "run": "r", "state": state, "artifacts": ["0" * 64]}
    db._insert("checkpoints", [document])
    assert db._find("checkpoints", {}) == [document]


def test_order_of_insertion_outlives_the_process(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    for name in "cabd":
        db._insert("runs", [{"_id": name}])
        documents = chunk_documents(name, 0, 0, {"loss": Chunk([1], [0], [0.5])})
        db._insert("history", documents)
    db._delete("runs", {"_id": "a"})
    db._insert("runs", [{"_id": "a"}])
    again = FileInterface(str(tmp_path / "lab"))
    assert [each["_id"] for each in again._find("runs", {})] == ["c", "b", "d", "a"]
    assert [each["run"] for each in again._find("history", {})] == ["c", "a", "b", "d"]


def test_state_is_matched_projected_and_updated(tmp_path: Path) -> None:
    db = Recorded(tmp_path / "lab").db
    (document,) = db._find("checkpoints", {})
    digest = document["state"]["digest"]
    skeleton = document["state"]["skeleton"]
    for filter in ({"state.skeleton": skeleton}, {"$or": [{"state.digest": digest}]}):
        assert db._find("checkpoints", filter) == [document]
    found = db._find("checkpoints", {}, projection=["state.digest"])
    assert found == [{"_id": document["_id"], "state": {"digest": digest}}]
    db._update("checkpoints", {}, {"$set": {"pinned": True}})
    assert db._find("checkpoints", {}) == [{**document, "pinned": True}]
