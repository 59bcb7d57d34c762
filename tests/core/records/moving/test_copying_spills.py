"""What a run put aside while its database was away becomes part of it again."""

from __future__ import annotations

from typing import Any

import pytest

from ptutils.errors import (
    DatabaseError,
)
from tests.core.copies import Make, big, content, resumed, run_of, written
from tests.core.stored import killed, steps_of


def spilled(home: Any, spill: Any) -> str:
    """Write a run to ``home``, and its rest to ``spill`` as a recorder does."""
    writer = written(home, is_over=False)
    run_id = writer.recorder.run_id
    (document,) = home._find("runs", {})
    before = {each["_id"] for each in home._find("history", {})}
    writer.record(3, 4)
    writer.save(4, array=big(4))
    writer.end()
    chunks = home._find("history", {"_id": {"$nin": list(before)}})
    (whole,) = home._find("runs", {})
    spill._insert("runs", [{**whole, "spilled_from": "mongodb://me:***@host/lab"}])
    spill._insert("history", chunks)
    spill._insert("checkpoints", home._find("checkpoints", {"step": 4}))
    spill._put([memoryview(big(4)).cast("B")])
    home._delete("history", {"_id": {"$nin": list(before)}})
    home._delete("checkpoints", {"step": 4})
    fields = {name: each for name, each in document.items() if name != "_id"}
    home._update("runs", {"_id": run_id}, {"$set": fields})
    killed(home, run_id)
    return run_id


def test_what_was_put_aside_becomes_part_of_the_run_again(make: Make) -> None:
    home, spill = make("a"), make("b")
    spilled(home, spill)
    assert steps_of(run_of(home).history) == [1, 2]
    (run,) = home.import_runs(spill)
    assert steps_of(run.history) == [1, 2, 3, 4]
    assert [each.step for each in run.checkpoints] == [0, 1, 2, 4]
    assert run.status.phase == "completed"
    assert "spilled_from" not in run.document


def test_what_was_put_aside_comes_once(make: Make) -> None:
    home, spill = make("a"), make("b")
    run_id = spilled(home, spill)
    home.import_runs(spill)
    resumed(home, run_id, 5, at=4).end()
    before = content(home)
    home.import_runs(spill)
    assert content(home) == before


def test_what_was_put_aside_does_not_mix_with_a_resumed_run(make: Make) -> None:
    home, spill = make("a"), make("b")
    run_id = spilled(home, spill)
    resumed(home, run_id, 3).end()
    with pytest.raises(DatabaseError, match="cannot copy run"):
        home.import_runs(spill)


def test_what_was_put_aside_does_not_mix_with_later_points(make: Make) -> None:
    home, spill = make("a"), make("b")
    run_id = spilled(home, spill)
    (last,) = spill._find("history", {}, limit=1)
    home._insert("history", [{**last, "_id": f"{run_id}.0.9.loss", "index": 9}])
    with pytest.raises(DatabaseError, match="cannot copy run"):
        home.import_runs(spill)


def test_spill_without_new_points_brings_the_status(make: Make) -> None:
    home, spill = make("a"), make("b")
    spilled(home, spill)
    spill._delete("history", {})
    spill._delete("checkpoints", {})
    (run,) = home.import_runs(spill)
    assert run.status.phase == "completed"


def test_what_was_put_aside_goes_nowhere_but_home(make: Make) -> None:
    home, spill = make("a"), make("b")
    spilled(home, spill)
    with pytest.raises(DatabaseError, match="cannot copy run") as refused:
        make("c").import_runs(spill)
    assert refused.value.fix == (
        f"ptutils import {spill.url} --db mongodb://me:***@host/lab"
    )


def test_run_is_not_resumed_where_it_was_put_aside(make: Make) -> None:
    home, spill = make("a"), make("b")
    spilled(home, spill)
    with pytest.raises(DatabaseError, match="cannot resume run") as refused:
        run_of(spill).resume()
    assert refused.value.fix.startswith(f"ptutils import {spill.url}")


def behind(home: Any, other: Any) -> None:
    """Bring a run to another database, without the last of its History."""
    other.import_runs(home)
    (last,) = other._find("history", {"path": "loss"}, sort=[("index", -1)], limit=1)
    other._delete("history", {"index": last["index"]})
    other._delete("checkpoints", {"chunks": {"$gt": last["index"]}})


def test_what_was_put_aside_waits_for_what_came_before(make: Make) -> None:
    home, spill, other = make("a"), make("b"), make("c")
    run_id = spilled(home, spill)
    behind(home, other)
    before = content(other)
    with pytest.raises(DatabaseError, match="cannot copy run") as refused:
        other.import_runs(spill)
    assert refused.value.got == "none of the pieces 0.1"
    assert refused.value.fix == (
        "bring what came before first: ptutils import mongodb://me:***@host/lab "
        f"--where 'id = {run_id}' --db {other.url}"
    )
    assert content(other) == before
    other.import_runs(home)
    (run,) = other.import_runs(spill)
    assert steps_of(run.history) == [1, 2, 3, 4]
    home.import_runs(spill)
    assert content(other) == content(home)


def test_checkpoint_that_was_put_aside_waits_for_its_history(make: Make) -> None:
    home, spill, other = make("a"), make("b"), make("c")
    spilled(home, spill)
    behind(home, other)
    spill._delete("history", {})
    spill.update({}, {"$set": {"chunks": 2}}, many=True, collection="checkpoints")
    with pytest.raises(DatabaseError, match="cannot copy run") as refused:
        other.import_runs(spill)
    assert refused.value.got == "none of the pieces 0.1"


def test_what_a_resumed_run_put_aside_waits_for_earlier_segments(make: Make) -> None:
    home, spill, other = make("a"), make("b"), make("c")
    run_id = written(home).recorder.run_id
    behind(home, other)
    again = resumed(home, run_id, 3)
    again.recorder.beat()
    (whole,) = home._find("runs", {})
    spill._insert("runs", [{**whole, "lease": None, "spilled_from": "home.db"}])
    with pytest.raises(DatabaseError, match="cannot copy run") as refused:
        other.import_runs(spill)
    assert refused.value.got == "none of the pieces 0.1"
