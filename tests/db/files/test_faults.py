"""Killed writers, torn tails, damaged files: nothing is lost, nothing misread."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from ptutils.core.records.identity import now
from ptutils.db.files import batch
from ptutils.db.files.headers import entries_in
from ptutils.db.files.interface import FileInterface
from ptutils.errors import CorruptError, DatabaseError, NotFoundError, UnavailableError
from tests.core.stored import killed
from tests.db.files.samples import Recorded, hard_state

WRITER = """
import sys
import numpy
from ptutils.db.files.interface import FileInterface

db = FileInterface(sys.argv[1])
print("ready", flush=True)
for number in range(10**9):
    name = f"{sys.argv[2]}-{number}"
    with db._transaction():
        db._insert("a", [{"_id": name}])
        db._insert("b", [{"_id": name, "pair": "a"}])
        db._update("count", {"_id": 0}, {"$inc": {"n": 1}}, upsert=True)
    content = numpy.full(1000, number * 10 + int(sys.argv[2]))
    db.save({"_id": name, "content": content}, "c")
    print(name, flush=True)
"""


def _start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
    )


def _inspect(db: FileInterface, *, repair: bool = False) -> list[str]:
    return [f"{fault.where}: {fault.what}" for fault in db._inspect(repair=repair)]


def _unlink_but_no_journal(path: Path, *, missing_ok: bool = False) -> None:
    if path.name != ".journal" and (path.exists() or not missing_ok):
        os.unlink(path)


def test_acknowledged_transactions_survive_kill_whole(tmp_path: Path) -> None:
    chance = random.Random(0)  # noqa: S311
    saved: list[str] = []
    for number in range(6):
        child = _start(WRITER, tmp_path / "lab", number)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.uniform(0.02, 0.15))
        child.kill()
        saved += [line.strip() for line in child.stdout if line.endswith("\n")]
        child.stdout.close()
        child.wait()
    db = FileInterface(str(tmp_path / "lab"))
    names = [each["_id"] for each in db.find(collection="a")]
    assert [each["_id"] for each in db.find(collection="b")] == names
    assert set(saved) <= set(names)
    assert db.find(collection="count")[0]["n"] == len(names)
    assert len(db.load_from_ids(saved, "c")) == len(saved) > 0
    _inspect(db, repair=True)
    assert _inspect(db) == []


def test_journal_of_a_killed_process_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(tmp_path / "lab")
    run = recorded.db._find("runs", {})[0]

    def die(root: Path, steps: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ptutils.db.files.batch._do", die)
        patched.setattr("ptutils.db.files.batch.Batch.discard", lambda batch: None)
        with contextlib.suppress(KeyboardInterrupt):
            recorded.writer.record(4)
            recorded.writer.save(4)
    assert (tmp_path / "lab/.journal").exists()
    db = recorded.again()
    assert db._count("checkpoints", {"step": 4}) == 1
    assert list(db.runs.get(run["_id"]).history["loss"].steps) == [1, 2, 3, 4]
    assert not (tmp_path / "lab/.journal").exists()


def test_journal_is_finished_twice_as_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(tmp_path / "lab", **hard_state())
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", _unlink_but_no_journal)
        recorded.writer.record(4)
        recorded.db._delete("checkpoints", {})
        recorded.writer.save_unread(3, **hard_state())
    assert (tmp_path / "lab/.journal").exists()
    db = recorded.again()
    assert db._count("checkpoints", {}) == 1
    assert list(db.runs.get(recorded.run_id).history["loss"].steps) == [1, 2, 3, 4]


def test_damaged_journal_is_named(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    (tmp_path / "lab/.journal").write_text("{")
    with pytest.raises(CorruptError, match="never acknowledged"):
        recorded.again().find()


@pytest.mark.parametrize("name", ["../x", "link/x"])
def test_journal_that_leads_out_of_the_folder_is_refused(
    tmp_path: Path, name: str
) -> None:
    recorded = Recorded(tmp_path / "lab")
    (tmp_path / "lab/link").symlink_to(tmp_path)
    steps = {"moves": [], "renames": [], "appends": [[name, 0, ""]], "removals": []}
    (tmp_path / "lab/.journal").write_text(json.dumps(steps))
    with pytest.raises(CorruptError, match="a path that leads out of it"):
        recorded.again().find()
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "tail", [b"4,0,loss,0.2", b"4,0,loss,0.25,0,1,179525", bytes(9)]
)
def test_torn_tail_of_history_is_cut(tmp_path: Path, tail: bytes) -> None:
    recorded = Recorded(tmp_path / "lab")
    path = recorded.folder / "history.csv"
    path.write_bytes(path.read_bytes() + tail)
    db = recorded.again()
    assert list(db.runs.get(recorded.run_id).history["loss"].steps) == [1, 2, 3]
    (found,) = _inspect(db)
    assert found.endswith(f"history.csv: {len(tail)} bytes half written at its end")
    recorded.writer.record(4)
    recorded.writer.save(4)
    assert list(db.runs.get(recorded.run_id).history["loss"].steps) == [1, 2, 3, 4]
    assert _inspect(db) == []


def test_room_that_a_killed_process_took_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(tmp_path / "lab")
    path = recorded.folder / "history.csv"
    before = path.read_bytes()

    def killed(*_: object) -> None:
        raise SystemExit  # Nothing of ours follows, as after a kill.

    with monkeypatch.context() as patch:
        patch.setattr("ptutils.db.files.batch.write_whole", killed)
        recorded.writer.record(4)
        with pytest.raises(SystemExit):
            recorded.writer.recorder.beat()
    assert path.read_bytes() == before


def test_torn_tail_is_repaired(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    path = recorded.folder / "history.csv"
    whole = path.read_bytes()
    path.write_bytes(whole + b"4,0,lo")
    (fault,) = recorded.db._inspect(repair=True)
    assert fault.is_repaired
    assert path.read_bytes() == whole


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    left = tmp_path / "lab/.aside/0123"
    left.write_bytes(b"half")
    assert _inspect(recorded.db) == [
        ".aside/0123: left by a process that was killed while it wrote"
    ]
    (fault,) = recorded.db._inspect(repair=True)
    assert fault.is_repaired
    assert not left.exists()


def test_half_written_pack_is_removed_when_it_is_old(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    db._put([b"a" * 5000])
    left = tmp_path / "lab/artifacts/.0123.tmp"
    left.write_bytes(b"half")
    assert _inspect(db) == []
    os.utime(left, (0, 0))
    (fault,) = db._inspect(repair=True)
    assert fault.is_repaired
    assert not left.exists()


def test_flipped_bit_of_a_checkpoint_is_found(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    content = bytearray(recorded.tensors.read_bytes())
    content[-1] ^= 1
    recorded.tensors.write_bytes(content)
    (fault,) = recorded.again()._inspect()
    assert "holds other bytes" in fault.what
    assert fault.affects.startswith(f"checkpoint {recorded.run_id}.")
    with pytest.raises(CorruptError, match="cannot read artifact"):
        recorded.again()._find("checkpoints", {})


def test_missing_tensors_are_found(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    recorded.tensors.unlink()
    (found,) = _inspect(recorded.again())
    assert found.endswith("schedule.safetensors: is missing")
    with pytest.raises(CorruptError, match=r"cannot read the tensor 'net\.0"):
        recorded.again()._find("checkpoints", {})


def test_truncated_tensors_are_found(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    recorded.tensors.write_bytes(recorded.tensors.read_bytes()[:-4])
    (found,) = _inspect(recorded.again())
    assert "past the end" in found


def test_other_tensors_are_found(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    other = Recorded(tmp_path / "other", net={"1.weight": hard_state()["view"]})
    recorded.tensors.write_bytes(other.tensors.read_bytes())
    (found,) = _inspect(recorded.again())
    assert "lacks 'net.0.weight'" in found


def test_damaged_pack_is_found(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    db._put([b"a" * 5000])
    (pack,) = (tmp_path / "lab/artifacts").glob("*.safetensors")
    pack.write_bytes(b"short")
    (fault,) = FileInterface(str(tmp_path / "lab"))._inspect()
    assert (fault.affects, "safetensors" in fault.what) == (
        "the artifacts in it",
        False,
    )


def test_unreadable_run_and_strange_file_are_found(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    (recorded.folder / "run.yaml").write_text("tags: [")
    (recorded.folder / "plot.png").touch()
    first, second = _inspect(recorded.again())
    assert "run.yaml, line 1" in first
    assert second.endswith("plot.png: is no file of ptutils")


def test_sound_folder_has_no_faults(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab", **hard_state())
    recorded.db.save({"tensor": hard_state()["large"]})
    assert _inspect(recorded.db) == []
    assert _inspect(recorded.db, repair=True) == []
    assert _inspect(FileInterface(str(tmp_path / "none"))) == []


def test_deleted_checkpoint_leaves_its_artifacts_until_they_are_dropped(
    tmp_path: Path,
) -> None:
    recorded = Recorded(tmp_path / "lab", **hard_state())
    db = recorded.again()
    stored = db._stored()
    db._delete("checkpoints", {})
    assert db._stored().keys() == stored.keys() != set()
    assert all(len(db._get(name)) == told.size for name, told in stored.items())
    assert _inspect(db) == []
    assert db._drop(stored, now()) >= 1_600_000
    assert list((tmp_path / "lab/artifacts").glob("*")) == []


def test_pack_for_several_checkpoints_goes_with_the_last_of_them(
    tmp_path: Path,
) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    digests = db._put([b"a" * 3000, b"b" * 3000])
    state = {"skeleton": "{}", "types": "", "digest": "x"}
    for number, digest in enumerate(digests):
        document = {"_id": f"r.{number}", "run": "r", "state": state}
        db._insert("checkpoints", [{**document, "artifacts": [digest]}])
        packs = list((tmp_path / "lab").glob("artifacts/*"))
        assert len(packs) == 1 - number
    assert db._stored().keys() == set(digests)
    assert _inspect(db) == []


def test_checkpoint_replaced_by_another_is_the_other(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab", **hard_state())
    old = recorded.db._find("checkpoints", {})[0]
    for change in ({"pinned": True}, {"artifacts": [b"x" * 48, *old["artifacts"][1:]]}):
        with recorded.db._transaction():
            recorded.db._delete("checkpoints", {})
            recorded.db._insert("checkpoints", [{**old, **change}])
        assert recorded.again()._find("checkpoints", {}) == [{**old, **change}]
    assert _inspect(recorded.again()) == []


def test_artifacts_of_a_live_checkpoint_are_not_dropped(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab", **hard_state())
    time.sleep(0.01)
    assert recorded.db._drop(recorded.db._stored(), now()) == 0
    (checkpoint,) = recorded.again().runs.get(recorded.run_id).checkpoints
    assert len(checkpoint.state["large"]) == 400_000


def test_full_disk_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(tmp_path / "lab")
    before = recorded.db._find("history", {})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(batch, "take_room", full)
        recorded.writer.record(4)
        with pytest.raises(DatabaseError, match="No space left on device"):
            recorded.writer.save(4)
    assert recorded.again()._find("history", {}) == before
    assert _inspect(recorded.again()) == []
    recorded.writer.save(4)
    assert recorded.again()._count("checkpoints", {}) == 2


def test_unfinished_journal_is_an_error_until_it_can_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(tmp_path / "lab")

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("ptutils.db.files.batch._append", fail)
        recorded.writer.record(4)
        with pytest.raises(DatabaseError, match="cannot finish a transaction"):
            recorded.writer.save(4)
    assert recorded.again()._count("checkpoints", {}) == 2


def test_lock_that_is_never_free_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, other = (FileInterface(str(tmp_path / "lab")) for _ in range(2))
    monkeypatch.setattr("ptutils.db.files.lock._PATIENCE_S", 0.01)
    with db._transaction(), pytest.raises(UnavailableError, match="its lock within"):
        other.find()


def test_missing_artifact_of_a_damaged_folder_is_not_found(tmp_path: Path) -> None:
    db = FileInterface(str(tmp_path / "lab"))
    db.save({"_id": 1})
    with pytest.raises(NotFoundError, match="found no artifact"):
        db._get("0" * 64)


def test_run_of_a_killed_process_is_resumed(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab")
    killed(recorded.db, recorded.run_id)
    (run,) = recorded.again().runs.find()
    assert run.status.phase == "lost"


@pytest.mark.parametrize("pieces", [[], ["0" * 64], ["0" * 64] * 2, ["0" * 64] * 6])
def test_header_with_wrong_slices_is_no_header(tmp_path: Path, pieces: Any) -> None:
    path = tmp_path / "a.safetensors"
    metadata = {"ptutils": json.dumps({"blake3": {"a": pieces}})}
    tensors = {"a": torch.zeros(65 << 20, dtype=torch.uint8)}
    safetensors.torch.save_file(tensors, path, metadata)
    if len(pieces) == 1:
        assert [each.size for each in entries_in(path)] == [65 << 20]
        return
    with pytest.raises(CorruptError, match="slices of 68157440 bytes"):
        entries_in(path)
