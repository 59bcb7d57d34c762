"""Long diffs are stored once for all runs, and stand in nobody's way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import ptutils
from ptutils.core.records.identity import now
from ptutils.core.records.source import folded, unfolded
from ptutils.db.memory import MemoryInterface
from ptutils.errors import NotFoundError, UnavailableError
from ptutils.meta.codec import dumps
from tests.core.copies import Make, resumed, run_of
from tests.core.stored import ENCODED, FIELDS, Writer

DIFF = "".join(f"+width = {number}  # größer\n" for number in range(2000))
SOURCE = {"host": "here", "diff": DIFF}


def written(db: Any, diff: str = DIFF) -> str:
    """Write a run of a program that was changed, and end it."""
    writer = Writer(db)
    source = folded({"host": "here", "diff": diff})
    run_id = writer.recorder.create(dict(FIELDS), {**ENCODED, "source": source})
    writer.record(1, 2)
    writer.save(2)
    writer.end()
    return run_id


def digest_in(db: Any) -> str:
    (digest,) = db._stored()
    return str(digest)


class Gone(MemoryInterface):
    """Out of reach for good when it is told to be."""

    patience_s = 0.0
    is_gone = False

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self.is_gone:
            raise UnavailableError("nobody answers")
        with super()._transaction():
            yield


def forget_diff(db: Any) -> None:
    db._drop([digest_in(db)], now() + timedelta(seconds=1))


@pytest.mark.parametrize("source", [{}, {"host": "here"}, {"diff": "+a\n"}, SOURCE])
def test_source_reads_as_it_was(source: Any) -> None:
    assert unfolded(folded(source)) == source


def test_diff_is_text_whatever_its_length(make: Make) -> None:
    db = make("a")
    written(db)
    assert run_of(db).source == SOURCE


def test_equal_diffs_are_stored_once_and_not_in_the_runs(make: Make) -> None:
    db = make("a")
    written(db)
    written(db)
    assert len(db._stored()) == 1
    for run in db.runs.find():
        assert len(dumps(run.document)) < 2000
        assert run.document["source"]["diff"] == f"bytes[{len(DIFF.encode())}]"


def test_short_diff_stays_where_queries_find_it(make: Make) -> None:
    db = make("a")
    run_id = written(db, "+lr = 0.1\n")
    assert [run.id for run in db.runs.find({"source.diff": "+lr = 0.1\n"})] == [run_id]
    assert not db._stored()


def test_run_is_read_where_its_diff_is_gone(make: Make) -> None:
    db = make("a")
    written(db)
    forget_diff(db)
    run = run_of(db)
    assert run.config == ENCODED["config"]
    assert run.lineage["verb"] == "new"
    assert run.newest().state.step == 2
    with pytest.raises(NotFoundError):
        _ = run.source


def test_run_whose_diff_is_gone_goes_on(make: Make) -> None:
    db = make("a")
    run_id = written(db)
    forget_diff(db)
    resumed(db, run_id, 3).end()
    assert run_of(db).source == ENCODED["source"]


def test_diff_stays_as_long_as_a_run_has_it(make: Make) -> None:
    db = make("a")
    written(db)
    assert db.gc(grace_s=-1.0).artifacts == 0
    assert run_of(db).source == SOURCE
    run_of(db).delete()
    assert db.gc(grace_s=-1.0).artifacts == 1


def test_diff_is_copied_with_its_run(make: Make) -> None:
    db, other = make("a"), make("b")
    written(db)
    run_of(db).export(other)
    assert run_of(other).source == SOURCE


def test_verification_tells_whose_diff_is_gone(make: Make) -> None:
    db = make("a")
    run_id = written(db)
    assert db.verify() == []
    forget_diff(db)
    (fault,) = db.verify()
    assert run_id in fault.affects


def test_diff_of_an_older_release_lies_within_the_run(make: Make) -> None:
    db = make("a")
    writer = Writer(db)
    writer.recorder.create(dict(FIELDS), {**ENCODED, "source": SOURCE})
    assert not db._stored()
    assert run_of(db).source == SOURCE


def test_what_was_put_aside_takes_the_older_diff_from_home(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, spill = make("a"), make("b")
    run_id = written(home)
    resumed(home, run_id, 3).end()
    (document,) = home._find("runs", {})
    spill._insert("runs", [{**document, "spilled_from": home.url, "notes": "b"}])
    fresh = timedelta(seconds=2)
    monkeypatch.setattr("ptutils.core.records.moving.carrying._FRESH", fresh)
    time.sleep(2.1)  # What lies at home is old now, and is renewed.
    home.import_runs(spill)
    assert run_of(home).notes == "b"
    assert digest_in(home)


def test_spill_holds_the_diff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    writer = Writer(Gone())
    writer.recorder.create(dict(FIELDS), {**ENCODED, "source": folded(SOURCE)})
    writer.db.is_gone = True
    writer.save(2)
    (path,) = tmp_path.glob("spill-*.db")
    with ptutils.connect(str(path)) as spill:
        assert run_of(spill).source == SOURCE
    writer.end()
