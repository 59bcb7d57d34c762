"""Labels that people put on runs stay, whoever writes the run at the same time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ptutils
from ptutils.core.records.run import Run
from ptutils.errors import NotFoundError, QueryError
from tests.core.stored import Writer


@pytest.fixture(params=["memory:", "runs.db"])
def writer(request: pytest.FixtureRequest, tmp_path: Path) -> Writer:
    """Of a run with checkpoints at the steps 1 and 2, which is still being written."""
    name = request.param
    db = ptutils.connect(name if name == "memory:" else str(tmp_path / name))
    writer = Writer(db)
    writer.create()
    writer.save(1)
    writer.save(2)
    return writer


def run_of(writer: Writer) -> Run:
    found = writer.db.runs.find()[0]
    assert isinstance(found, Run)
    return found


def pinned(run: Run) -> list[int]:
    found = run.db._find("checkpoints", {"pinned": True}, projection={"step": 1})
    return [each["step"] for each in found]


def test_tags_are_added_once_and_taken_away(writer: Writer) -> None:
    run = run_of(writer)
    run.tag("best", "good", "best")
    assert run.tags == run_of(writer).tags == ["good", "best"]
    run.untag("good", "never there")
    assert run.tags == run_of(writer).tags == ["best"]


@pytest.mark.parametrize("word", ["", "  ", 3])
@pytest.mark.parametrize("verb", ["tag", "untag"])
def test_tags_are_words(writer: Writer, verb: str, word: Any) -> None:
    with pytest.raises(QueryError, match="cannot tag a run with this"):
        getattr(run_of(writer), verb)(word)


def test_note_replaces_the_notes(writer: Writer) -> None:
    run = run_of(writer)
    run.note("first")
    run.note("second")
    assert run.notes == run_of(writer).notes == "second"


def test_archived_run_is_marked_until_it_is_brought_back(writer: Writer) -> None:
    run = run_of(writer)
    run.archive()
    assert [each.id for each in writer.db.runs.find({"archived": True})] == [run.id]
    run.unarchive()
    assert len(writer.db.runs.find({"archived": True})) == 0


def test_writer_of_the_run_leaves_labels_alone(writer: Writer) -> None:
    run = run_of(writer)
    run.tag("best")
    run.note("look")
    run.archive()
    writer.record(1)
    writer.save(3)
    writer.end()
    document = run_of(writer).document
    assert document["tags"] == ["good", "best"]
    assert (document["notes"], document["archived"]) == ("look", True)
    assert document["status"]["phase"] == "completed"


def test_newest_checkpoint_is_pinned_or_the_one_of_a_step(writer: Writer) -> None:
    run = run_of(writer)
    run.pin()
    assert pinned(run) == [2]
    run.pin(1)
    assert pinned(run) == [1, 2]


def test_checkpoints_are_unpinned_by_step_or_all(writer: Writer) -> None:
    run = run_of(writer)
    run.pin(1)
    run.pin(2)
    run.unpin(1)
    assert pinned(run) == [2]
    run.unpin()
    assert pinned(run) == []


def test_checkpoint_pinned_while_the_writer_chooses_stays(writer: Writer) -> None:
    run = run_of(writer)

    def retained(stored: list[dict[str, Any]]) -> set[str]:
        run.pin(1)
        return {stored[-1]["_id"]}

    writer.prune(retained)
    assert [each.step for each in run.checkpoints] == [1, 2]


def test_step_without_a_checkpoint_cannot_be_pinned(writer: Writer) -> None:
    with pytest.raises(NotFoundError, match="has no checkpoint at step 7"):
        run_of(writer).pin(7)


def test_run_without_checkpoints_cannot_be_pinned() -> None:
    writer = Writer()
    writer.create()
    with pytest.raises(NotFoundError, match="no such checkpoint to pin") as missing:
        run_of(writer).pin()
    assert missing.value.got == "none"


def test_checkpoint_dropped_at_this_moment_cannot_be_pinned(writer: Writer) -> None:
    run = run_of(writer)
    newest = run.newest

    def dropping() -> Any:
        found = newest()
        writer.db.delete({}, "checkpoints")
        return found

    run.newest = dropping  # type: ignore[method-assign]
    with pytest.raises(NotFoundError, match="no such checkpoint") as missing:
        run.pin()
    assert missing.value.got.endswith("which was dropped")


@pytest.mark.parametrize(
    "verb", [lambda run: run.tag("a"), lambda run: run.note("a"), Run.archive]
)
def test_run_that_is_gone_cannot_be_labelled(
    writer: Writer, verb: Callable[[Run], None]
) -> None:
    run = run_of(writer)
    writer.db.delete({}, "runs")
    with pytest.raises(NotFoundError, match=f"run '{run.id}' is not in"):
        verb(run)
