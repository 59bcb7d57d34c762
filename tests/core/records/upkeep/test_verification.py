"""Everything that is damaged is found and named; what can be mended is mended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptutils.core.hooks import Fault
from ptutils.core.records.upkeep.verification import verify
from ptutils.db.memory import MemoryInterface
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import CorruptError, UnavailableError
from ptutils.meta.status import Phase
from tests.core.stored import Writer

LARGE = np.arange(200_000.0)
"""More than what goes whole into a document."""


NO_SIDECAR = {"types": "{}", "artifacts": []}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SQLiteInterface]:
    with SQLiteInterface(str(tmp_path / "runs.db")) as db:
        yield db


def write_run(db: Any, *steps: int, frozen: float = 0.0) -> str:
    """Write a run that checkpoints at these steps, half of each State frozen."""
    writer = Writer(db)
    run_id = writer.create()
    for step in steps:
        writer.record(step)
        writer.save(step, frozen=LARGE + frozen, weights=LARGE * (step + 1))
    writer.end()
    return run_id


def packs_of(db: SQLiteInterface) -> list[Path]:
    folder = db._packs.folder
    return sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def change(db: Any, collection: str, which: Any, **fields: Any) -> None:
    """Change a stored document behind the back of everything that checks it."""
    assert db._update(collection, which, {"$set": fields}) == 1


def test_database_in_order_has_no_faults(db: SQLiteInterface) -> None:
    write_run(db, 1, 2, 3)
    db.save({"array": LARGE, "pair": (1, 2)})
    assert db.verify() == []
    assert db.verify(repair=True) == []
    assert "damaged" not in db._collections()


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_damaged_pack_is_named_with_all_checkpoints_that_need_it(
    db: SQLiteInterface, damage: Callable[[Path], None]
) -> None:
    first = write_run(db, 1)
    (pack,) = packs_of(db)
    second = write_run(db, 1, 2)
    damage(pack)
    faults = db.verify()
    assert {fault.where for fault in faults} == {str(pack)}
    assert not any(fault.is_repaired for fault in faults)
    affected = " ".join(fault.affects for fault in faults)
    assert f"(run {first}, step 1)" in affected
    assert f"(run {second}, step 1)" in affected


def test_each_artifact_is_read_once_for_all_checkpoints(
    db: SQLiteInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(db, 1, 2, 3)
    db.save({"array": LARGE})
    read, get = [], db._get
    monkeypatch.setattr(db, "_get", lambda digest: read.append(digest) or get(digest))
    assert db.verify() == []
    assert sorted(read) == sorted(db._stored())


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_repair_lets_resume_take_the_newest_complete_checkpoint(
    db: SQLiteInterface, damage: Callable[[Path], None]
) -> None:
    run_id = write_run(db, 1, 2, 3)
    damage(packs_of(db)[-1])
    (fault,) = db.verify(repair=True)
    assert fault.is_repaired
    run = db.runs.get(run_id)
    assert [checkpoint.step for checkpoint in run.checkpoints] == [1, 2]
    assert np.array_equal(run.newest().state["weights"], LARGE * 3)
    (aside,) = db._find("damaged", {})
    assert (aside["run"], aside["step"]) == (run_id, 3)
    assert "artifact" in aside["damage"]
    assert db.verify() == []


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_what_was_damaged_is_stored_again_when_it_comes_again(
    db: SQLiteInterface, damage: Callable[[Path], None]
) -> None:
    write_run(db, 1)
    damage(packs_of(db)[0])
    db.verify(repair=True)
    run_id = write_run(db, 1)
    assert np.array_equal(db.runs.get(run_id).newest().state["frozen"], LARGE)
    assert db.verify() == []


def test_document_that_needs_a_damaged_artifact_stays_and_is_named(
    db: SQLiteInterface,
) -> None:
    identity = db.save({"array": LARGE})
    flip(packs_of(db)[0])
    for repair in (False, True):
        (fault,) = db.verify(repair=repair)
        assert f"documents {identity}" in fault.affects
        assert not fault.is_repaired
    assert db._count("documents", {}) == 1


def test_checkpoint_whose_state_was_changed_is_set_aside(db: SQLiteInterface) -> None:
    run_id = write_run(db, 1, 2)
    change(db, "checkpoints", {"step": 2}, **{"state.types": ""})
    (fault,) = db.verify()
    assert "one with digest" in fault.what
    assert f"(run {run_id}, step 2)" in fault.affects
    assert db.verify(repair=True)[0].is_repaired
    assert [each.step for each in db.runs.get(run_id).checkpoints] == [1]


def test_checkpoint_that_lacks_fields_is_set_aside(db: SQLiteInterface) -> None:
    write_run(db, 1)
    db._update("checkpoints", {}, {"$unset": {"run": ""}})
    (fault,) = db.verify(repair=True)
    assert fault.what.startswith("KeyError")
    assert fault.is_repaired


def test_checkpoint_with_a_damaged_config_of_its_own_is_set_aside(
    db: SQLiteInterface,
) -> None:
    write_run(db, 1)
    sidecar = {"types": '{"format":99}', "artifacts": []}
    change(db, "checkpoints", {}, config={"a": 1}, _ptutils=sidecar)
    assert db.verify(repair=True)[0].is_repaired


def test_checkpoint_is_set_aside_once_more(db: SQLiteInterface) -> None:
    run_id = write_run(db, 1)
    (found,) = db._find("checkpoints", {})
    db._insert("damaged", [found])
    change(db, "checkpoints", {}, **{"state.types": ""})
    db.verify(repair=True)
    assert db._count("damaged", {"run": run_id}) == 1


def test_document_whose_types_are_damaged_is_named(db: SQLiteInterface) -> None:
    identity = db.save({"pair": (1, 2)})
    change(db, "documents", {}, **{"_ptutils.types": "{}"})
    (fault,) = db.verify()
    assert fault.where == f"documents.{identity}"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status.phase": "asleep"}, "asleep"),
        ({"_ptutils": NO_SIDECAR}, "cannot read the sidecar"),
        ({"segments": [{"start": {"segment": 3, "chunks": 0}}]}, "segments.0.start"),
        (
            {"segments": [{"start": None, "config": 1, "_ptutils": NO_SIDECAR}]},
            "cannot read the sidecar",
        ),
    ],
)
def test_run_that_cannot_be_read_is_named(
    db: SQLiteInterface, changes: dict[str, Any], told: str
) -> None:
    run_id = write_run(db, 1)
    change(db, "runs", {}, **changes)
    faults = db.verify(repair=True)
    assert told in " ".join(fault.what for fault in faults)
    assert {fault.where for fault in faults} <= {
        f"runs.{run_id}",
        f"history of run {run_id}",
    }
    assert not any(fault.is_repaired for fault in faults)


def with_several_configs(db: Any) -> None:
    run_id = write_run(db, 1)
    (run,) = db._find("runs", {})
    earlier = {"start": None, "config": run["config"], "_ptutils": run["_ptutils"]}
    later = {"start": {"segment": 0, "chunks": 1}}
    change(db, "runs", {"_id": run_id}, segments=[earlier, later])


def test_run_that_changed_its_config_has_no_faults(db: SQLiteInterface) -> None:
    with_several_configs(db)
    assert db.verify() == []


@pytest.mark.parametrize("index", [0, 1, 2])
def test_missing_piece_of_history_is_found(db: SQLiteInterface, index: int) -> None:
    run_id = write_run(db, 1, 2, 3)
    db._delete("history", {"index": index})
    (fault,) = db.verify(repair=True)
    assert fault.where == f"history of run {run_id}"
    assert fault.what == f"missing are the pieces 0.{index}"
    assert not fault.is_repaired


def test_few_of_very_many_missing_pieces_are_named(db: SQLiteInterface) -> None:
    write_run(db, 1)
    change(db, "checkpoints", {}, chunks=10**15)
    (fault,) = db.verify()
    assert fault.what.startswith("missing are the pieces 0.1, 0.2, ")
    assert fault.what.endswith("0.20 and more")


def test_missing_part_of_a_piece_is_found(db: SQLiteInterface) -> None:
    write_run(db, 1)
    change(db, "history", {}, part=1)
    (fault,) = db.verify()
    assert fault.what == "missing are the pieces 0.0 of loss"


def test_missing_metric_is_found_in_the_summary(db: SQLiteInterface) -> None:
    writer = Writer(db)
    writer.create()
    writer.history.append(1, 0, {"loss": 1.0, "acc": float("nan")})
    writer.end()
    assert db.verify() == []
    db._delete("history", {"path": "acc"})
    (fault,) = db.verify()
    assert "others than the run's summary" in fault.what


@pytest.mark.parametrize(
    "changes", [{"steps": b"123"}, {"values": b""}, {"count": 7}, {"epochs": None}]
)
def test_damaged_points_are_found(db: SQLiteInterface, changes: Any) -> None:
    run_id = write_run(db, 1)
    change(db, "history", {}, **changes)
    (fault,) = db.verify()
    assert fault.where == f"history of run {run_id}"


def test_piece_without_points_is_passed_over(db: SQLiteInterface) -> None:
    write_run(db, 1)
    (piece,) = db._find("history", {})
    empty = {"_id": "empty", "index": 1, "count": 0, "values": [], "steps": 0}
    db._insert("history", [{**piece, **empty}])
    assert db.verify() == []


VALUES = st.one_of(st.floats(), st.integers(-3, 3), st.just(-0.0))


@given(st.lists(st.lists(VALUES, min_size=1, max_size=5), max_size=4))
@settings(max_examples=60)
def test_summary_of_any_points_is_that_of_their_pieces(flushes: list[Any]) -> None:
    writer = Writer()
    writer.create()
    for number, values in enumerate(flushes):
        for offset, value in enumerate(values):
            writer.history.record(number * 10 + offset // 2, 0, "a.loss", value)
        writer.recorder.beat()
    writer.end()
    assert writer.db.verify() == []


class Listening(MemoryInterface):
    """Notes how many points of History are read at once."""

    most = 0

    def _find(self, collection: str, *which: Any, **how: Any) -> Any:
        found = super()._find(collection, *which, **how)
        if collection == "history" and "projection" not in how:
            self.most = max(self.most, sum(each["count"] for each in found))
        return found


def test_few_points_of_a_long_history_are_read_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ptutils.core.records.pieces._MOST_POINTS", 50)
    db, target = Listening(), Listening()
    writer = Writer(db)
    writer.create()
    for start in range(1, 200, 20):
        writer.record(*range(start, start + 20))
        writer.recorder.beat()
    writer.end()
    assert db.verify() == []
    assert db.most == 40
    target.import_runs(db)
    assert db.most == 40
    target._delete("runs", {})
    target.import_runs(db)
    assert (db.most, target.most) == (40, 40)


def test_history_of_a_living_run_may_be_ahead_of_its_summary(
    db: SQLiteInterface,
) -> None:
    writer = Writer(db)
    run_id = writer.create()
    writer.record(1, 2)
    writer.recorder.beat()
    change(db, "runs", {"_id": run_id}, summary={})
    assert writer.status.phase == Phase.RUNNING
    assert db.verify() == []


def test_history_of_a_spill_begins_elsewhere(db: SQLiteInterface) -> None:
    write_run(db, 1, 2)
    db._delete("history", {"index": 0})
    change(db, "runs", {}, spilled_from="elsewhere.db")
    assert db.verify() == []


class Broken(MemoryInterface):
    """Cannot read one of its parts."""

    broken = ""

    def _find(self, collection: str, *which: Any, **how: Any) -> Any:
        if collection == self.broken:
            raise CorruptError("cannot read this")
        return super()._find(collection, *which, **how)

    def _collections(self) -> list[str]:
        if self.broken == "collections":
            raise CorruptError("cannot read this")
        return super()._collections()

    def _stored(self, *which: Any) -> Any:
        if self.broken == "artifacts":
            raise CorruptError("cannot read this")
        return super()._stored(*which)


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        ("checkpoints", "collection 'checkpoints'"),
        ("collections", "memory:"),
        ("artifacts", "artifacts"),
    ],
)
def test_rest_is_read_where_a_part_cannot_be(broken: str, where: str) -> None:
    db = Broken()
    write_run(db, 1)
    db.broken = broken
    what, affects = "cannot read this", "the rest of it, unseen"
    assert verify(db) == [Fault(where=where, what=what, affects=affects)]


def test_missing_artifacts_are_told_together() -> None:
    db = MemoryInterface()
    run_id = write_run(db, *range(1, 24))
    db._artifacts.clear()
    (fault,) = db.verify()
    assert not fault.is_repaired
    (fault,) = db.verify(repair=True)
    assert fault.is_repaired
    assert "and 23 more artifacts" in fault.what
    assert fault.affects.endswith("and 3 more")
    assert run_id in fault.affects


def test_text_that_cannot_be_read_does_not_hide_the_others(
    db: SQLiteInterface,
) -> None:
    for number in (1, 2, 3):
        db.save({"_id": number, "pair": (1, 2)})
    change(db, "documents", {"_id": 3}, **{"_ptutils.types": "{}"})
    with db._store.writing() as connection:
        connection.execute("UPDATE documents_1 SET text = '{' WHERE place = 1")
    first, second = db.verify()
    assert first.what == "its text is not what was stored"
    assert second.where == "documents.3"


def test_repair_keeps_a_damaged_pack_and_what_is_sound_in_it(
    db: SQLiteInterface,
) -> None:
    identity = db.save({"first": LARGE, "second": LARGE + 1})
    (pack,) = packs_of(db)
    flip(pack)
    left = pack.read_bytes()
    (fault,) = db.verify(repair=True)
    (kept,) = (pack.parent / "damaged").iterdir()
    assert f"kept as {kept}" in fault.what
    assert kept.read_bytes() == left
    assert len(db._stored()) == 1
    db.gc(-60.0)
    assert kept.exists()
    db.save({"first": LARGE, "second": LARGE + 1})
    assert np.array_equal(db.load(identity)["second"], LARGE + 1)
    assert db.verify() == []


class Away(MemoryInterface):
    """Is out of reach for one of its parts."""

    away = ""

    def _get(self, digest: str) -> Any:
        if self.away == "artifacts":
            raise UnavailableError("out of reach")
        return super()._get(digest)

    def _find(self, collection: str, *which: Any, **how: Any) -> Any:
        if collection == self.away:
            raise UnavailableError("out of reach")
        return super()._find(collection, *which, **how)


@pytest.mark.parametrize("away", ["artifacts", "history", "checkpoints"])
@pytest.mark.parametrize("repair", [False, True])
def test_database_out_of_reach_is_not_damaged(away: str, repair: bool) -> None:
    db = Away()
    write_run(db, 1)
    db.save({"array": LARGE})
    db.away = away
    with pytest.raises(UnavailableError, match="out of reach"):
        verify(db, repair=repair)
    db.away = ""
    assert db.verify() == []
