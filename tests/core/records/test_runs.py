"""Runs are found by query and by id, and a dead one never reads as running."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import ptutils
from ptutils.core.records.identity import now
from ptutils.core.records.runs import Found
from ptutils.db.memory import MemoryInterface
from ptutils.errors import CorruptError, DatabaseError, NotFoundError, QueryError
from tests.core.stored import Writer, killed


@pytest.fixture
def writer() -> Writer:
    return Writer()


def renamed(writer: Writer, *ids: str) -> None:
    """Store copies of one run under these ids, in this order."""
    run_id = writer.create()
    (document,) = writer.db._find("runs", {})
    writer.db._delete("runs", {"_id": run_id})
    writer.db._insert("runs", [{**document, "_id": each} for each in ids])


def test_no_letters_name_no_run(writer: Writer) -> None:
    renamed(writer, "0a")
    with pytest.raises(NotFoundError, match="no run '' in"):
        writer.db.runs.get("")


def test_runs_are_found_by_filter_oldest_first(writer: Writer) -> None:
    renamed(writer, "0b", "0a", "0c")
    found = writer.db.runs.find({"experiment": "test"})
    assert [run.id for run in found] == ["0a", "0b", "0c"]
    assert not writer.db.runs.find({"experiment": "other"})


def test_runs_are_sorted_skipped_and_limited(writer: Writer) -> None:
    renamed(writer, "0b", "0a", "0c")
    found = writer.db.runs.find(sort=[("_id", -1)], skip=1, limit=1)
    assert [run.id for run in found] == ["0b"]


def test_runs_are_found_by_a_query_in_words(writer: Writer) -> None:
    renamed(writer, "0a", "0b")
    assert len(writer.db.runs.where("experiment = test")) == 2
    assert len(writer.db.runs.where("experiment = test", limit=1)) == 1
    with pytest.raises(QueryError, match="cannot read the query"):
        writer.db.runs.where("experiment =")


def test_run_is_known_by_the_last_letters_of_its_id(writer: Writer) -> None:
    renamed(writer, "0ab", "0ac")
    assert writer.db.runs.get("ac").id == "0ac"


def test_run_is_known_by_the_first_letters_of_its_id(writer: Writer) -> None:
    renamed(writer, "0ab", "0ac")
    assert writer.db.runs.get("0ab").id == "0ab"
    with pytest.raises(
        QueryError, match="several runs start or end with '0a'"
    ) as ambiguous:
        writer.db.runs.get("0a")
    assert ambiguous.value.got == "0ab, 0ac"


def test_unknown_run_is_not_found(writer: Writer) -> None:
    renamed(writer, "0ab", "0ac")
    with pytest.raises(NotFoundError, match="no run '0b' in memory:"):
        writer.db.runs.get("0b")


def test_running_run_reads_as_running(writer: Writer) -> None:
    writer.create()
    (found,) = writer.db.runs.find({"status.phase": "running"})
    assert found.status.phase == "running"


def test_completed_run_is_never_lost(writer: Writer) -> None:
    writer.create()
    writer.end()
    assert writer.db.runs.find()[0].status.phase == "completed"


@pytest.mark.parametrize(
    "lease",
    [
        {"lease.born": -1},
        {"lease.expires": now() - timedelta(seconds=1)},
        {"lease": None},
        {"lease.born": -1, "status.phase": "paused"},
    ],
)
def test_run_that_nobody_writes_reads_as_lost(
    writer: Writer, lease: dict[str, Any]
) -> None:
    writer.create()
    writer.db.update({}, {"$set": lease}, collection="runs")
    (found,) = writer.db.runs.find({"status.phase": "lost"})
    assert found.status.phase == "lost"
    assert found.status.ended is not None
    assert writer.db._count("runs", {"status.phase": "lost"}) == 1


class Contested(MemoryInterface):
    """Another process renews the lease between its being read and marked."""

    def _update(self, collection: str, filter: Any, update: Any, **how: Any) -> int:
        if "status.phase" in update.get("$set", {}):
            super()._update(collection, {}, {"$set": {"lease.owner": "somebody"}})
        return super()._update(collection, filter, update, **how)


def test_run_that_was_taken_over_meanwhile_is_not_lost() -> None:
    writer = Writer(Contested())
    killed(writer.db, writer.create())
    assert writer.db.runs.find()[0].status.phase == "running"


class ReadOnly(MemoryInterface):
    """Refuses to be written, once that is said."""

    is_frozen = False

    def _update(self, collection: str, filter: Any, update: Any, **how: Any) -> int:
        if self.is_frozen:
            raise DatabaseError("cannot use this database", got="read-only")
        return super()._update(collection, filter, update, **how)


def test_lost_run_reads_as_lost_where_nothing_can_be_written() -> None:
    writer = Writer(ReadOnly())
    killed(writer.db, writer.create())
    writer.db.is_frozen = True
    (found,) = writer.db.runs.find({"status.phase": "lost"})
    assert found.status.phase == "lost"
    assert not writer.db.runs.find({"status.phase": "running"})
    assert found.db is writer.db


def test_found_runs_are_a_sequence(writer: Writer) -> None:
    renamed(writer, "0a", "0b", "0c")
    found = writer.db.runs.find()
    assert len(found) == 3
    assert found[-1].id == "0c"
    assert isinstance(found[1:], Found)
    assert [run.id for run in found[1:]] == ["0b", "0c"]
    assert repr(found[:1]) == "[Run('0a', 'test', running)]"


def test_filter_may_be_any_mapping_that_mongodb_takes(writer: Writer) -> None:
    renamed(writer, "0a")
    wanted: Mapping[str, Any] = {"config.betas": [0.9, 0.99], "tags": "good"}
    assert len(writer.db.runs.find(dict(wanted))) == 1


def test_filter_with_values_that_are_not_plain_finds_what_was_stored(
    writer: Writer,
) -> None:
    renamed(writer, "0a")
    assert len(writer.db.runs.find({"config.betas": (0.9, 0.99)})) == 1


def test_damaged_run_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    db = MemoryInterface()
    good, bad = Writer(db).create(), Writer(db).create()
    db._update("runs", {"_id": bad}, {"$set": {"tags": 5}})
    found = db.runs.find()
    assert [run.id for run in found] == [good]
    (fault,) = found.damaged
    assert bad in str(fault)
    assert bad in caplog.text
    with pytest.raises(CorruptError, match="tags: 5, not list"):
        db.runs.get(bad)


def test_damaged_run_that_is_asked_for_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    db = MemoryInterface()
    bad = Writer(db).create()
    db._update("runs", {"_id": bad}, {"$set": {"tags": 5}})
    with pytest.raises(CorruptError, match="tags: 5, not list"):
        db.runs.get(bad)
    assert not caplog.text


def test_runs_of_a_database_are_a_sequence(writer: Writer) -> None:
    renamed(writer, "0ab", "0ac", "0ad")
    runs = writer.db.runs
    assert len(runs) == 3
    assert [run.id for run in runs] == ["0ab", "0ac", "0ad"]
    assert (runs[-1].id, runs["0ac"].id) == ("0ad", "0ac")
    assert [run.id for run in runs[1:]] == ["0ac", "0ad"]


@pytest.mark.parametrize("kind", ["sqlite", "files"])
def test_run_that_cannot_be_read_at_all_hides_no_other(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{kind}:{tmp_path / 'lab'}"
    with ptutils.connect(url) as db:
        good, bad = Writer(db).create(), Writer(db).create()
    if kind == "files":
        (tmp_path / "lab" / "runs" / bad / "run.yaml").write_text("tags: [1")
    else:
        with contextlib.closing(sqlite3.connect(tmp_path / "lab")) as connection:
            texts = connection.execute(
                "SELECT name FROM sqlite_master WHERE name LIKE 'documents_%'"
            ).fetchall()
            for (name,) in texts:
                connection.execute(
                    f"UPDATE {name} SET text = '{{' WHERE text LIKE '%{bad}%'"  # noqa: S608
                )
            connection.commit()
    with ptutils.connect(url) as db:
        found = db.runs.find()
        assert [run.id for run in found] == [good]
        assert len(found.damaged) == 1
        assert "a run is left out" in caplog.text
        assert db.runs.get(good).id == good
        with pytest.raises(CorruptError):
            db.runs.get(bad)
