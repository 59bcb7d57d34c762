"""What a person changes in the folder is read, or refused by file and line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ptutils.db.files.interface import FileInterface
from ptutils.errors import CorruptError, DatabaseError, NotFoundError
from tests.db.files.samples import Recorded


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path / "lab")


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_added_tag_is_read(recorded: Recorded) -> None:
    assert recorded.db._count("runs", {"tags": "best"}) == 0
    _edit(recorded.folder / "run.yaml", "tags: [good]", "tags:\n- good\n- best")
    assert recorded.db._count("runs", {"tags": "best"}) == 1


def test_dates_and_times_that_a_person_writes_are_read(recorded: Recorded) -> None:
    note = "notes: {seen: 2026-01-02, at: 2026-01-02 03:04:05}"
    _edit(recorded.folder / "run.yaml", "notes: ''", note)
    (run,) = recorded.db._find("runs", {})
    assert run["notes"]["seen"] == "2026-01-02"
    assert run["notes"]["at"].isoformat() == "2026-01-02T03:04:05+00:00"


def test_broken_yaml_is_refused_by_line(recorded: Recorded) -> None:
    _edit(recorded.folder / "run.yaml", "tags: [good]", "tags: [good")
    with pytest.raises(CorruptError, match=r"run\.yaml, line \d+"):
        recorded.db._find("runs", {})


def test_key_given_twice_is_refused(recorded: Recorded) -> None:
    _edit(recorded.folder / "run.yaml", "tags: [good]", "tags: [a]\ntags: [b]")
    with pytest.raises(CorruptError, match="'tags' again"):
        recorded.db._find("runs", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a.b: 1}", "at 'notes'(?s:.*)the key 'a.b'"),
        ("{1: 2}", "the key 1"),
        (str(1 << 70), "1180591620717411303424"),
        ("!!set {a}", r"\(set\)"),
    ],
)
def test_what_no_document_can_hold_is_refused(
    recorded: Recorded, text: str, message: str
) -> None:
    _edit(recorded.folder / "run.yaml", "notes: ''", f"notes: {text}")
    with pytest.raises(CorruptError, match=message):
        recorded.db._find("runs", {})


def test_text_that_is_no_document_is_refused(recorded: Recorded) -> None:
    (recorded.folder / "run.yaml").write_text("- 1")
    with pytest.raises(CorruptError, match="a document with an '_id'"):
        recorded.db._find("runs", {})


def test_copied_folder_keeps_the_id_and_is_refused(recorded: Recorded) -> None:
    shutil.copytree(recorded.folder, recorded.folder.with_name("copy"))
    with pytest.raises(CorruptError, match="which goes with its '_id'"):
        recorded.db._find("runs", {})


def test_broken_json_is_refused_by_line(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    db.save({"_id": "a", "b": 1})
    path = tmp_path / "lab/documents/documents/a.json"
    _edit(path, '"b": 1,', '"b": ,')
    with pytest.raises(CorruptError, match=r"a\.json, line 3"):
        db.load("a")


def test_document_that_a_person_wrote_is_found(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    db.save({"_id": "a"})
    (tmp_path / "lab/documents/documents/b.json").write_text('{"_id": "b", "c": 1}')
    assert db.load("b") == {"_id": "b", "c": 1}
    assert [each["_id"] for each in db.find()] == ["a", "b"]


def test_bytes_that_are_no_text_are_refused_by_line(recorded: Recorded) -> None:
    path = recorded.folder / "run.yaml"
    path.write_bytes(path.read_bytes().replace(b"good", b"\xff"))
    with pytest.raises(CorruptError, match=r"run\.yaml, line \d+(?s:.*)text in UTF-8"):
        recorded.db._find("runs", {})


@pytest.mark.parametrize("line", ["x,0,loss,1.0,0,0,", "1,0,loss", '1,"0'])
def test_broken_line_of_history_is_refused(recorded: Recorded, line: str) -> None:
    _edit(recorded.folder / "history.csv", "2,0,loss,0.5,0,0,", line)
    with pytest.raises(CorruptError, match=r"history\.csv, line \d"):
        recorded.db._find("history", {})


def test_value_that_is_no_number_is_refused(recorded: Recorded) -> None:
    _edit(recorded.folder / "history.csv", "0.5", "half")
    with pytest.raises(CorruptError, match=r"numbers as values of 'loss'(?s:.*)half"):
        recorded.db._find("history", {})


def test_other_header_of_history_is_refused(recorded: Recorded) -> None:
    _edit(recorded.folder / "history.csv", "step,epoch", "epoch,step")
    with pytest.raises(CorruptError, match=r"history\.csv, line 1"):
        recorded.db._find("history", {})


def test_removed_line_of_history_is_a_point_less(recorded: Recorded) -> None:
    _edit(recorded.folder / "history.csv", "2,0,loss,0.5,0,0,\n", "")
    history = recorded.again().runs.get(recorded.run_id).history
    assert list(history["loss"].steps) == [1, 3]


def test_missing_end_of_the_last_line_loses_nothing(recorded: Recorded) -> None:
    path = recorded.folder / "history.csv"
    path.write_text(path.read_text().rstrip("\n"))
    recorded.writer.record(4)
    recorded.writer.save(4)
    history = recorded.again().runs.get(recorded.run_id).history
    assert list(history["loss"].steps) == [1, 2, 3, 4]


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DatabaseError, match="or an empty one"):
        FileInterface(str(tmp_path)).save({"a": 1})
    with pytest.raises(DatabaseError, match="or an empty one"):
        FileInterface(str(tmp_path)).find()
    assert not (tmp_path / "documents").exists()


def test_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab").touch()
    with pytest.raises(DatabaseError, match="expected: a folder"):
        FileInterface(str(tmp_path / "lab")).save({"a": 1})


def test_missing_parent_is_named(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "none" / "lab"))
    with pytest.raises(NotFoundError, match="mkdir -p"):
        db.save({"a": 1})


def test_newer_format_is_refused(recorded: Recorded) -> None:
    (recorded.path / "ptutils.yaml").write_text("format: 3\n")
    with pytest.raises(DatabaseError, match=r"format 2 or older(?s:.*)pip install -U"):
        recorded.again().find()


def test_broken_format_is_refused(recorded: Recorded) -> None:
    (recorded.path / "ptutils.yaml").write_text("format: [")
    with pytest.raises(CorruptError, match=r"cannot read .*ptutils\.yaml"):
        recorded.again().find()


def test_checkpoint_of_another_run_is_refused(recorded: Recorded) -> None:
    _edit(recorded.json, f'"run": "{recorded.run_id}"', '"run": "other"')
    with pytest.raises(CorruptError, match="the checkpoint of this run and name"):
        recorded.db._find("checkpoints", {})


def test_checkpoint_without_its_artifacts_is_refused(recorded: Recorded) -> None:
    _edit(recorded.json, '"artifacts"', '"artefacts"')
    with pytest.raises(CorruptError, match="the checkpoint of this run and name"):
        recorded.db._find("checkpoints", {})


def test_folder_in_the_place_of_a_file_is_refused(recorded: Recorded) -> None:
    (recorded.folder / "run.yaml").unlink()
    (recorded.folder / "run.yaml").mkdir()
    with pytest.raises(CorruptError, match=r"run\.yaml\n +expected: a file"):
        recorded.db._find("runs", {})


def test_history_that_is_no_text_is_refused_by_line(recorded: Recorded) -> None:
    path = recorded.folder / "history.csv"
    path.write_bytes(path.read_bytes().replace(b"2,0,loss", b"2,0,\xff"))
    with pytest.raises(CorruptError, match=r"history\.csv, line 3"):
        recorded.db._find("history", {})
