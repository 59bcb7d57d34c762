"""Runs copied between databases: equal there, and repeated as often as one likes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptutils
from ptutils.core.records.moving.copying import copy_run
from ptutils.db.memory import MemoryInterface
from ptutils.errors import (
    DatabaseError,
    LeaseError,
    NotFoundError,
)
from tests.core.copies import Counting, Make, content, resumed, run_of, written
from tests.core.stored import steps_of


def test_copy_is_equal_and_loads(make: Make) -> None:
    source, target = make("a"), make("b")
    written(source)
    copy = run_of(source).export(target)
    assert content(target) == content(source)
    assert copy.db is target
    assert copy.config["betas"] == (0.9, 0.99)
    assert [each.state["array"][0] for each in copy.checkpoints] == [1, 1, 2]
    assert steps_of(copy.history) == [1, 2]


def test_second_copy_copies_and_changes_nothing(make: Make) -> None:
    source, target = make("a"), Counting()
    written(source)
    target.import_runs(source)
    target.count, before = 0, content(target)
    target.import_runs(source)
    assert target.count == 0
    assert content(target) == before


def test_runs_are_chosen_by_filter_or_words(make: Make) -> None:
    source, target = make("a"), make("b")
    first, second = written(source), written(source)
    run_id = first.recorder.run_id
    assert [run.id for run in target.import_runs(source, {"_id": run_id})] == [run_id]
    (run,) = source.runs.find({"_id": second.recorder.run_id})
    run.tag("best")
    found = source.runs.export("tags has best", target)
    assert [each.id for each in found] == [run.id]
    assert len(source.runs.export(None, make("c"))) == 2
    assert len(source.runs.export({"tags": "worst"}, make("d"))) == 0


def test_urls_are_opened(tmp_path: Path) -> None:
    source = ptutils.connect(f"{tmp_path}/a.db")
    written(source)
    copy = run_of(source).export(f"{tmp_path}/b.db")
    target = ptutils.connect(f"{tmp_path}/c.db")
    (run,) = target.import_runs(f"{tmp_path}/b.db")
    assert run.id == copy.id
    assert content(target) == content(source)


def test_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="found no database"):
        MemoryInterface().import_runs(f"{tmp_path}/a.db")
    assert not list(tmp_path.iterdir())


def test_progress_is_told_to_the_last_part(make: Make) -> None:
    source, target = make("a"), make("b")
    written(source)
    told: list[tuple[str, int, int]] = []
    run = run_of(source)
    run.export(target, progress=lambda *each: told.append(each))
    assert told[-1] == (run.id, told[-1][2], told[-1][2])
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    told.clear()
    run.export(target, progress=lambda *each: told.append(each))
    assert told == [(run.id, 0, 0)]


def test_what_came_since_is_brought_the_next_time(make: Make) -> None:
    source, target = make("a"), make("b")
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    again = resumed(source, run_id, 3, 4)
    again.end()
    target.import_runs(source)
    assert content(target) == content(source)
    assert steps_of(run_of(target).history) == [1, 2, 3, 4]


def test_running_run_is_copied_as_it_stands_and_reads_as_lost(make: Make) -> None:
    source, target = make("a"), make("b")
    writer = written(source, is_over=False)
    (copy,) = target.import_runs(source)
    assert copy.status.phase == "lost"
    assert run_of(source).status.phase == "running"
    writer.record(3)
    writer.save(3)
    writer.end()
    target.import_runs(source)
    assert content(target) == content(source)


def test_copied_run_goes_on_in_its_new_place(make: Make) -> None:
    source, target = make("a"), make("b")
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    resumed(target, run_id, 3).end()
    before = content(target)
    assert [run.id for run in target.import_runs(source)] == [run_id]
    assert content(target) == before
    source.import_runs(target)
    assert steps_of(run_of(source).history) == [1, 2, 3]


def test_run_that_went_on_in_both_places_is_refused(make: Make) -> None:
    source, target = make("a"), make("b")
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    resumed(source, run_id, 3).end()
    resumed(target, run_id, 3, 4).end()
    before = content(target)
    with pytest.raises(DatabaseError, match="cannot copy run") as diverged:
        target.import_runs(source)
    assert source.url in diverged.value.got
    assert target.url in diverged.value.got
    assert f"ptutils delete {run_id} --db {target.url}" in diverged.value.fix
    assert content(target) == before


def test_run_that_went_back_in_one_place_only_goes_on_there(make: Make) -> None:
    source, target = make("a"), make("b")
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    resumed(target, run_id, 2, 3, at=1).end()
    source.import_runs(target)
    assert steps_of(run_of(source).history) == [1, 2, 3]
    assert content(source)["history"] == content(target)["history"]


def test_run_that_lost_steps_is_not_what_another_resumed(make: Make) -> None:
    source, target = make("a"), make("b")
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    resumed(source, run_id, 2, 3, at=1).end()
    resumed(target, run_id, 3).end()
    with pytest.raises(DatabaseError, match="cannot copy run"):
        target.import_runs(source)


def test_run_that_is_written_in_the_target_is_left_alone(make: Make) -> None:
    source, target = make("a"), make("b")
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    resumed(target, run_id, 3)
    resumed(source, run_id, 3, 4).end()
    with pytest.raises(LeaseError, match="cannot copy run") as held:
        target.import_runs(source)
    assert "is writing it" in held.value.got


def test_copy_may_be_written_by_who_holds_it() -> None:
    source, target = MemoryInterface(), MemoryInterface()
    writer = written(source, is_over=False)
    (document,) = source._find("runs", {})
    for _ in range(2):
        copy_run(source, target, document["_id"], lease=document["lease"])
        writer.record(3)
        writer.recorder.beat()
    assert target._find("runs", {})[0]["lease"] == document["lease"]
    assert run_of(target).status.phase == "running"


def test_labels_of_the_target_stay(make: Make) -> None:
    source, target = make("a"), make("b")
    run_id = written(source).recorder.run_id
    (copy,) = target.import_runs(source)
    copy.tag("here")
    copy.note("look")
    copy.archive()
    resumed(source, run_id, 3).end()
    run_of(source).tag("there")
    target.import_runs(source)
    found = run_of(target)
    assert found.tags == ["good", "there", "here"]
    assert (found.notes, found.document["archived"]) == ("look", True)


def test_pins_are_carried(make: Make) -> None:
    source, target = make("a"), make("b")
    written(source)
    target.import_runs(source)
    run_of(source).pin(1)
    target.import_runs(source)
    assert [each["step"] for each in target._find("checkpoints", {"pinned": True})] == [
        1
    ]


def test_run_that_is_not_there_cannot_be_copied() -> None:
    with pytest.raises(NotFoundError, match="found no document in 'runs'"):
        copy_run(MemoryInterface(), MemoryInterface(), "none")


@pytest.mark.parametrize("first", ["sqlite", "files"])
def test_runs_go_around_all_databases_unchanged(
    url_of: Callable[[str, str], str], first: str
) -> None:
    source = ptutils.connect(url_of(first, "a"))
    written(source)
    other = "files" if first == "sqlite" else "sqlite"
    passed = ptutils.connect(url_of(other, "b"))
    passed.import_runs(source)
    memory = MemoryInterface()
    memory.import_runs(passed)
    assert content(memory) == content(source)


@pytest.mark.mongo
def test_runs_go_to_a_server_and_back_unchanged(
    url_of: Callable[[str, str], str],
) -> None:
    source, target = MemoryInterface(), MemoryInterface()
    run_id = written(source).recorder.run_id
    with ptutils.connect(url_of("mongodb", "")) as server:
        server.import_runs(source)
        resumed(server, run_id, 3).end()
        source.import_runs(server)
        target.import_runs(server)
        assert content(source) == content(server) == content(target)


@given(st.lists(st.sampled_from(["grow a", "grow b", "a to b", "b to a"]), max_size=7))
@settings(max_examples=40)
def test_copies_bring_what_the_other_has_or_refuse(moves: list[str]) -> None:
    databases = {"a": MemoryInterface(), "b": MemoryInterface()}
    run_id = written(databases["a"]).recorder.run_id
    grown: dict[str, list[int]] = {"a": [], "b": []}  # What each has, by number.
    databases["b"].import_runs(databases["a"])
    for number, move in enumerate(moves, 3):
        first, _, second = move.partition(" to ")
        if move.startswith("grow"):
            side = move[-1]
            grown[side].append(number)
            resumed(databases[side], run_id, number, at=2).end()
            continue
        ours, theirs = grown[second], grown[first]
        if ours == theirs[: len(ours)]:
            grown[second] = list(theirs)
            databases[second].import_runs(databases[first])
            assert content(databases[second]) == content(databases[first])
            continue
        before = content(databases[second])
        if theirs == ours[: len(theirs)]:
            databases[second].import_runs(databases[first])
        else:
            with pytest.raises(DatabaseError, match="cannot copy run"):
                databases[second].import_runs(databases[first])
        assert content(databases[second]) == before
