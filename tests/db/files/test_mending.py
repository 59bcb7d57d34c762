"""Damaged checkpoints and packs of a folder: told, put aside, the rest goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptutils.core.records.checkpoint import STATE_HIDDEN
from ptutils.db.files.interface import FileInterface
from ptutils.errors import CorruptError, DatabaseError, PtutilsError
from tests.db.files.samples import Recorded

LARGE = np.arange(200_000.0)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


DAMAGES = [flip, halve, Path.unlink]


def newest(recorded: Recorded) -> Path:
    """Save another checkpoint, of other values, and return its tensors' file."""
    recorded.writer.record(4)
    recorded.writer.save(4, net=np.arange(7.0), frozen=LARGE)
    (path,) = {*recorded.tensors.parent.glob("*.safetensors")} - {recorded.tensors}
    return path


@pytest.mark.parametrize("damage", DAMAGES)
def test_others_are_read_beside_a_damaged_checkpoint(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    recorded = Recorded(tmp_path / "lab")
    damage(newest(recorded))
    db = recorded.again()
    found = db._find("checkpoints", {}, projection=STATE_HIDDEN)
    assert [each["step"] for each in found] == [3, 4]
    sound, damaged = db.runs.get(recorded.run_id).checkpoints
    assert sound.state["net"]["0.weight"].shape == (2, 3)
    with pytest.raises(PtutilsError, match=r"cannot|found no"):
        np.sum(damaged.state["net"] + damaged.state["frozen"][:7])
    assert db._find("checkpoints", {"step": 3})[0]["step"] == 3


@pytest.mark.parametrize("damage", DAMAGES)
def test_repair_puts_a_damaged_checkpoint_aside(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    recorded = Recorded(tmp_path / "lab")
    path = newest(recorded)
    damage(path)
    left = path.read_bytes() if path.exists() else None
    told = recorded.again().verify()
    assert {fault.where for fault in told} >= {
        path.relative_to(tmp_path / "lab").as_posix()
    }
    assert not any(fault.is_repaired for fault in told)
    db = recorded.again()
    faults = db.verify(repair=True)
    assert faults
    assert all(fault.is_repaired for fault in faults)
    assert "kept as damaged/" in faults[0].what
    kept = [each.read_bytes() for each in (tmp_path / "lab/damaged").iterdir()]
    assert left is None or left in kept
    assert recorded.again().verify() == []
    assert [each.step for each in db.runs.get(recorded.run_id).checkpoints] == [3]
    (aside,) = db._find("damaged", {})
    assert (aside["run"], aside["step"]) == (recorded.run_id, 4)


def test_tensor_that_another_checkpoint_has_too_mends_a_damaged_one(
    tmp_path: Path,
) -> None:
    recorded = Recorded(tmp_path / "lab", frozen=LARGE)
    recorded.writer.record(4)
    recorded.writer.save(4, frozen=LARGE)
    before = recorded.again()._find("checkpoints", {})
    flip(recorded.tensors)
    db = recorded.again()
    for checkpoint in db.runs.get(recorded.run_id).checkpoints:
        assert np.array_equal(checkpoint.state["frozen"], LARGE)
    faults = db.verify(repair=True)
    assert [fault.is_repaired for fault in faults] == [True]
    assert recorded.again().verify() == []
    assert recorded.again()._find("checkpoints", {}) == before
    assert db._count("damaged", {}) == 0


def test_checkpoint_whose_json_is_damaged_is_put_aside(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    newest(recorded)
    recorded.json.write_text('{"_id": ')
    (fault,) = recorded.again().verify()
    assert "line 1" in fault.what
    assert recorded.again().verify(repair=True)[0].is_repaired
    db = recorded.again()
    assert db.verify() == []
    assert [each.step for each in db.runs.get(recorded.run_id).checkpoints] == [4]
    assert db._find("damaged", {})[0]["text"] == '{"_id": '


def test_unreadable_document_does_not_hide_the_others(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    for number in (1, 2, 3):
        db.save({"_id": number, "pair": (1, 2)})
    db._update("documents", {"_id": 3}, {"$set": {"_ptutils.types": "{}"}})
    (tmp_path / "lab/documents/documents/=1.json").write_text("{")
    first, second = FileInterface(str(tmp_path / "lab")).verify()
    assert first.where == "documents/documents/=1.json"
    assert second.where == "documents.3"


@pytest.mark.parametrize("damage", [flip, halve])
def test_repair_keeps_a_damaged_pack_and_what_is_sound_in_it(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    digests = db._put([b"a" * 5000, b"b" * 5000])
    (pack,) = (tmp_path / "lab/artifacts").glob("*.safetensors")
    damage(pack)
    left = pack.read_bytes()
    db = FileInterface(str(tmp_path / "lab"))
    db.verify(repair=True)
    (kept,) = (tmp_path / "lab/damaged").iterdir()
    assert kept.read_bytes() == left
    assert FileInterface(str(tmp_path / "lab")).verify() == []
    if damage is flip:
        assert len(db._stored()) == 1
    db._put([b"a" * 5000, b"b" * 5000])
    assert [bytes(db._get(each)[:1]) for each in digests] == [b"a", b"b"]


def test_damaged_copy_of_a_pack_is_put_aside(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab", frozen=LARGE)
    pack = recorded.db._folder.holding.write({"0" * 64: b"x", **_frozen(recorded)})
    with recorded.db._folder.writing():
        recorded.db._folder.lock.tell()
    flip(pack)
    assert any("elsewhere" in fault.affects for fault in recorded.again().verify())
    recorded.again().verify(repair=True)
    assert recorded.again().verify() == []


def test_file_that_cannot_be_read_now_ends_a_repair(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    for path in (recorded.tensors, recorded.json, recorded.folder / "run.yaml"):
        aside = path.rename(path.with_suffix(".copy"))
        path.symlink_to(path)
        with pytest.raises(DatabaseError, match="Too many levels") as raised:
            recorded.again().verify(repair=True)
        assert not isinstance(raised.value, CorruptError)
        aside.replace(path)
        assert recorded.again().verify() == []


def _frozen(recorded: Recorded) -> dict[str, bytes]:
    db = recorded.db
    return {digest: bytes(db._get(digest)) for digest in db._stored()}
