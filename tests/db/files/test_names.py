"""Any ``_id`` and any collection has a file name of its own, inside the folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptutils.db.files.interface import FileInterface
from ptutils.db.files.names import folder_of, name_of, text_of
from ptutils.db.filters.order import key
from ptutils.errors import DatabaseError

HOSTILE = [
    "", ".", "..", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "-rf", "~", "*",
    "CON", "a\nb", "a b", "%", "%2E", "=1", "é", "学习", "\N{ROCKET}", "x" * 1000,
    "é" * 500, ".hidden", "a.json", "a.json.json", "run.yaml",
    0, 1, -1, 1.5, float("nan"), float("inf"), 2**62, True, False, None,
    b"", b"\0", {"a": 1}, datetime(2026, 1, 1, tzinfo=UTC),
]  # fmt: skip
_IDS = st.text() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.binary()


def test_hostile_ids_stay_inside_and_apart(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    with db._transaction():
        for number, identity in enumerate(HOSTILE):
            db._insert("c", [{"_id": identity, "n": number}])
    again = FileInterface(str(tmp_path / "lab"))
    found = [again._find("c", {"_id": identity})[0]["n"] for identity in HOSTILE]
    assert found == [each["n"] for each in again._find("c", {})]
    assert found == list(range(len(HOSTILE)))
    folder = tmp_path / "lab/documents/c"
    assert len(list(folder.iterdir())) == len(HOSTILE)
    assert [path.name for path in tmp_path.iterdir()] == ["lab"]


@pytest.mark.parametrize(
    "name", [each for each in HOSTILE if isinstance(each, str) and len(each) < 50]
)
def test_hostile_collections_stay_inside_and_apart(tmp_path: Path, name: str) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    db._insert(name, [{"_id": 1}])
    again = FileInterface(str(tmp_path / "lab"))
    assert again._collections() == [name]
    assert again._find(name, {}) == [{"_id": 1}]
    assert [path.name for path in tmp_path.iterdir()] == ["lab"]


def test_collection_with_too_long_a_name_is_refused(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    with pytest.raises(DatabaseError, match="a name of at most 180 bytes"):
        db._insert("x" * 181, [{"_id": 1}])


@pytest.mark.parametrize("identity", ["a/b", "x" * 300, "", 5, "a.b"])
def test_run_under_any_id_comes_back(tmp_path: Path, identity: Any) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    db._insert("runs", [{"_id": identity, "tags": []}])
    again = FileInterface(str(tmp_path / "lab"))
    assert again._find("runs", {"_id": identity}) == [{"_id": identity, "tags": []}]


@given(_IDS, _IDS)
def test_names_are_equal_where_ids_are(left: Any, right: Any) -> None:
    assert (name_of(left) == name_of(right)) == (key(left) == key(right))


@given(_IDS)
def test_names_are_safe(identity: Any) -> None:
    name = name_of(identity)
    assert 0 < len(name) <= 180
    assert name[0] != "."
    assert not set(name) & set("/\\\0\n ")


@given(st.text(max_size=20))
def test_names_of_collections_are_read_back(name: str) -> None:
    assert text_of(folder_of(name)) == name
