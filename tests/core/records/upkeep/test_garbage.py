"""What nothing needs is removed, and nothing else, also while others write."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptutils.core.records.identity import now
from ptutils.core.records.upkeep.garbage import (
    GRACE_S,
    Garbage,
    collect,
    ensure,
    expect_run,
    run_arrived,
)
from ptutils.db.memory import MemoryInterface
from ptutils.db.sqlite.interface import SQLiteInterface

ARRAY = np.arange(1000.0)


@pytest.fixture(params=["memory", "sqlite"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "memory":
        yield MemoryInterface()
    else:
        with SQLiteInterface(str(tmp_path / "runs.db")) as db:
            yield db


def age(db: Any, seconds: float = GRACE_S + 1) -> None:
    """Let all artifacts have been put some time ago."""
    put = now() - timedelta(seconds=seconds)
    if isinstance(db, MemoryInterface):
        db._artifacts = {name: (held, put) for name, (held, _) in db._artifacts.items()}
        return
    with db._store.writing() as connection:
        connection.execute("UPDATE artifacts SET put = ?", (put.timestamp() * 1000,))


def test_nothing_is_removed_where_everything_is_needed(db: Any) -> None:
    identity = db.save({"array": ARRAY})
    age(db)
    garbage = db.gc()
    assert garbage == Garbage(artifacts=0, documents=0, size_bytes=0)
    assert str(garbage) == "There was nothing to remove."
    assert np.array_equal(db.load(identity)["array"], ARRAY)


def test_artifact_of_a_deleted_document_is_removed(db: Any) -> None:
    identity = db.save({"array": ARRAY})
    db.delete({"_id": identity})
    age(db)
    garbage = db.gc()
    assert (garbage.artifacts, garbage.documents) == (1, 0)
    assert garbage.size_bytes >= ARRAY.nbytes
    assert "Removed 1 artifacts and 0 documents that nothing needs" in str(garbage)
    assert db._stored() == {}


def test_artifact_within_the_grace_period_is_kept(db: Any) -> None:
    db._put([ARRAY.tobytes()])
    age(db, GRACE_S - 100)
    assert db.gc().artifacts == 0
    assert collect(db, GRACE_S - 200).artifacts == 1


@pytest.mark.parametrize("collection", ["runs", "checkpoints", "anything"])
def test_sidecar_at_any_depth_keeps_its_artifacts(db: Any, collection: str) -> None:
    (digest,) = db._put([ARRAY.tobytes()])
    sidecar = {"_ptutils": {"types": "", "artifacts": [b"inline", digest]}}
    document = {"run": "r", "segments": [{"start": None}, {"config": 1, **sidecar}]}
    db._insert("runs", [{"_id": "r"}])
    db._insert(collection, [{"_id": 1, **document}])
    age(db)
    assert db.gc().artifacts == 0


@pytest.mark.parametrize("collection", ["checkpoints", "damaged"])
def test_checkpoint_keeps_its_artifacts(db: Any, collection: str) -> None:
    (digest,) = db._put([ARRAY.tobytes()])
    db._insert("runs", [{"_id": "r"}])
    db._insert(collection, [{"_id": 1, "run": "r", "artifacts": [b"", digest]}])
    age(db)
    assert db.gc().artifacts == 0
    db._delete(collection, {})
    assert db.gc().artifacts == 1


def test_field_of_the_user_that_is_called_artifacts_keeps_nothing(db: Any) -> None:
    (digest,) = db._put([ARRAY.tobytes()])
    db.save({"artifacts": [digest]})
    age(db)
    assert db.gc().artifacts == 1


def test_more_documents_than_a_page_keep_their_artifacts(db: Any) -> None:
    ids = [db.save({"array": ARRAY + number}) for number in range(120)]
    db.delete({"_id": ids[7]})
    age(db)
    assert db.gc().artifacts == 1
    rest = db.load_from_ids(ids[:7] + ids[8:])
    assert [document["array"][0] for document in rest] == [*range(7), *range(8, 120)]


def parts(run_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        {"_id": f"{run_id}.1", "run": run_id, "artifacts": []},
        {"_id": f"{run_id}.0.loss", "run": run_id, "values": b""},
    )


def insert_parts(db: Any, run_id: str) -> None:
    checkpoint, chunk = parts(run_id)
    db._insert("checkpoints", [checkpoint])
    db._insert("history", [chunk])


def test_parts_of_a_run_that_stays_away_are_removed(db: Any) -> None:
    insert_parts(db, "gone")
    insert_parts(db, "here")
    db._insert("runs", [{"_id": "here"}])
    assert collect(db, 0).documents == 0  # It was seen for the first time.
    assert collect(db, GRACE_S).documents == 0  # And not for long.
    assert collect(db, 0).documents == 2
    assert db._find("checkpoints", {}) == [parts("here")[0]]
    assert db._find("history", {}) == [parts("here")[1]]
    assert db._collections() == ["checkpoints", "history", "runs"]


def test_parts_of_a_run_that_came_since_are_kept(db: Any) -> None:
    insert_parts(db, "late")
    collect(db, 0)
    db._insert("runs", [{"_id": "late"}])
    assert collect(db, 0).documents == 0
    assert db._count("history", {}) == 1
    assert "orphans" not in db._collections()


class Late(MemoryInterface):
    """A run that arrives between the look at what is missing, and its removal."""

    def _delete(self, collection: str, filter: Any) -> int:
        if collection == "orphans" and not self._count("runs", {}):
            self._insert("runs", [{"_id": "late"}])
        return super()._delete(collection, filter)


def test_parts_of_a_run_that_comes_at_the_last_moment_are_kept() -> None:
    db = Late()
    insert_parts(db, "late")
    db._insert("orphans", [{"_id": "late", "seen": now() - timedelta(days=1)}])
    assert collect(db).documents == 0
    assert db._count("checkpoints", {}) == 1


class Coming(MemoryInterface):
    """A run of which more parts come between the look and the removal."""

    def _delete(self, collection: str, filter: Any) -> int:
        if collection == "orphans" and "seen" in filter:
            expect_run(self, "late")
        return super()._delete(collection, filter)


def test_parts_of_a_run_of_which_more_come_are_kept() -> None:
    db = Coming()
    insert_parts(db, "late")
    db._insert("orphans", [{"_id": "late", "seen": now() - timedelta(days=1)}])
    assert collect(db).documents == 0
    assert db._count("checkpoints", {}) == 1
    assert run_arrived(db, "late")


def test_ensured_artifact_that_is_there_is_left_alone(db: Any) -> None:
    (digest,) = db._put([ARRAY.tobytes()])
    age(db, 60)
    before = db._stored()
    ensure(db, {digest: ARRAY.tobytes()})
    assert db._stored() == before


def test_ensured_artifact_that_was_removed_is_put_again(db: Any) -> None:
    (digest,) = db._put([ARRAY.tobytes()])
    age(db)
    db.gc()
    with db._transaction():
        ensure(db, {digest: ARRAY.tobytes()})
        db._insert("anything", [{"_ptutils": {"artifacts": [digest]}}])
    assert bytes(db._get(digest)) == ARRAY.tobytes()


def test_ensured_artifact_that_is_old_outlives_a_cleaning_under_way(db: Any) -> None:
    (digest,) = db._put([ARRAY.tobytes()])
    age(db, GRACE_S - 60)
    ensure(db, {digest: ARRAY.tobytes()})
    assert db.gc().artifacts == 0
    assert db._drop([digest], now() - timedelta(seconds=GRACE_S / 2)) == 0


class Sleepy(MemoryInterface):
    """Its artifacts are cleaned away between putting them and saying so."""

    def _put(self, artifacts: Any) -> list[str]:
        digests = super()._put(artifacts)
        if not self._count("naps", {}):
            self._insert("naps", [{}])
            self._drop(digests, now() + timedelta(days=1))
        return digests


def test_saving_survives_a_sleep_longer_than_the_grace_period() -> None:
    db = Sleepy()
    identity = db.save({"array": ARRAY})
    assert np.array_equal(db.load(identity)["array"], ARRAY)


WRITE = """
import sys
import time
import numpy as np
from ptutils.core.records.upkeep import garbage
from ptutils.db.sqlite.interface import SQLiteInterface

garbage.GRACE_S = 2.0
db = SQLiteInterface(sys.argv[1])
frozen = np.arange(5000.0)
until = time.monotonic() + 5
number = 0
while time.monotonic() < until:
    number += 1
    weights = [np.full(2000, float(10 * number + each)) for each in range(4)]
    db.save({"_id": number, "state": {"frozen": frozen, "weights": weights}}, "kept")
    db.delete({"_id": {"$lt": number - 3, "$ne": 1}}, "kept")
print(number)
"""


def test_everything_loads_that_a_process_writes_while_others_clean(
    tmp_path: Path,
) -> None:
    with SQLiteInterface(str(tmp_path / "runs.db")) as db:
        db._count("kept", {})
        child = subprocess.Popen(
            [sys.executable, "-c", WRITE, db.url], stdout=subprocess.PIPE, text=True
        )
        removed = 0
        while child.poll() is None:
            removed += collect(db, 2.0).artifacts
            time.sleep(0.02)
            for document in db.find(collection="kept", limit=2):
                assert len(document["state"]["weights"]) == 4
        number = int(child.communicate()[0])
        kept = db.find(collection="kept")
        assert [each["_id"] for each in kept] == [1, *range(number - 3, number + 1)]
        assert removed > 0
        assert all(
            np.array_equal(e["state"]["frozen"], np.arange(5000.0)) for e in kept
        )


def test_artifact_that_a_newer_document_took_over_meanwhile_is_kept(
    db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = db.save({"array": ARRAY})
    find, asked = db._find, []

    def replacing(collection: str, filter: Any, **options: Any) -> Any:
        found = find(collection, filter, **options)
        if collection == "documents" and not asked:
            asked.append(filter)
            (held,) = find("documents", {"_id": old})
            db._insert("documents", [{**held, "_id": "new"}])
            db._delete("documents", {"_id": old})
        return found

    age(db)
    monkeypatch.setattr(db, "_find", replacing)
    assert db.gc().artifacts == 0
    assert np.array_equal(db.load("new")["array"], ARRAY)
