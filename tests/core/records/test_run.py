"""A stored run is read as it was written: History, segments, checkpoints."""

from __future__ import annotations

import pytest

from ptutils.core.records.lineage import new_lineage
from ptutils.core.records.run import Run, place_of
from ptutils.core.session import Session
from ptutils.errors import NotFoundError
from tests.core.experiment import config
from tests.core.stored import ENCODED, Writer, killed, steps_of


def first(writer: Writer) -> Run:
    return writer.db.runs.find()[0]


def resumed(writer: Writer, step: int | None) -> Writer:
    """Go on with a run, as another process would, from the checkpoint at ``step``."""
    run = first(writer)
    killed(writer.db, run.id)
    again = Writer(writer.db)
    checkpoint = None if step is None else run.checkpoint(step)
    again.recorder.acquire(run.id, {}, dict(ENCODED), place_of(checkpoint))
    return again


@pytest.fixture
def writer() -> Writer:
    """Of a run that has steps 1 to 5, and checkpoints at 0, 2 and 4."""
    writer = Writer()
    writer.create()
    writer.save(0, "start")
    writer.record(1, 2)
    writer.save(2)
    writer.record(3, 4)
    writer.save(4)
    writer.record(5)
    writer.recorder.beat()
    return writer


def test_run_tells_what_was_built_and_where_it_came_from(writer: Writer) -> None:
    run = first(writer)
    assert run.config == ENCODED["config"]
    assert run.config.betas == (0.9, 0.99)
    assert run.source == ENCODED["source"]
    assert run.lineage == new_lineage()


def test_run_has_experiment_tags_status_and_summary(writer: Writer) -> None:
    run = first(writer)
    assert (run.experiment, run.tags) == ("test", ["good"])
    assert run.status.phase == "running"
    assert (run.summary.loss.min, run.summary.loss.min_step) == (0.2, 5)
    assert repr(run) == f"Run({run.id!r}, 'test', running)"


def test_history_has_each_step_once(writer: Writer) -> None:
    assert steps_of(first(writer).history) == [1, 2, 3, 4, 5]
    assert len(first(writer).segments) == 1


def test_history_until_a_checkpoint_ends_there(writer: Writer) -> None:
    run = first(writer)
    assert steps_of(run.history_until(run.checkpoint(2))) == [1, 2]
    assert steps_of(run.history_until(run.checkpoint(0))) == []
    assert steps_of(run.history_until(None)) == []


def test_resume_takes_later_points_out_of_history_and_keeps_them_as_a_segment(
    writer: Writer,
) -> None:
    again = resumed(writer, 2)
    again.record(3)
    again.recorder.beat()
    run = first(writer)
    assert steps_of(run.history) == [1, 2, 3]
    assert [steps_of(each) for each in run.segments] == [[1, 2, 3, 4, 5], [3]]


def test_resume_of_a_resume_keeps_what_both_count(writer: Writer) -> None:
    again = resumed(writer, 2)
    again.record(3)
    again.save(3)
    again.record(4)
    again.recorder.beat()
    third = resumed(writer, 3)
    third.record(4, 5, 6)
    third.recorder.beat()
    run = first(writer)
    assert steps_of(run.history) == [1, 2, 3, 4, 5, 6]
    assert [steps_of(each) for each in run.segments[1:]] == [[3, 4], [4, 5, 6]]


def test_resume_from_the_very_start_counts_nothing_of_before(writer: Writer) -> None:
    again = resumed(writer, None)
    again.record(1)
    again.recorder.beat()
    assert steps_of(first(writer).history) == [1]


def test_checkpoints_are_oldest_first(writer: Writer) -> None:
    run = first(writer)
    assert [checkpoint.step for checkpoint in run.checkpoints] == [0, 2, 4]
    newest = run.newest()
    assert newest is not None
    assert newest.step == 4


def test_newest_checkpoint_is_the_last_taken_though_its_step_is_lower(
    writer: Writer,
) -> None:
    again = resumed(writer, 2)
    again.record(3)
    again.save(3)
    newest = first(writer).newest()
    assert newest is not None
    assert (newest.step, newest.segment) == (3, 1)


def test_checkpoint_of_a_step_is_the_newest_one(writer: Writer) -> None:
    writer.save(4, "last")
    assert first(writer).checkpoint(4).why == "last"


def test_unknown_step_is_refused_with_those_that_exist(writer: Writer) -> None:
    with pytest.raises(NotFoundError, match="has no checkpoint at step 3") as missing:
        first(writer).checkpoint(3)
    assert missing.value.expected == "one of the steps 0, 2, 4"


def test_run_without_checkpoints_says_so() -> None:
    writer = Writer()
    writer.create()
    run = first(writer)
    assert run.newest() is None
    with pytest.raises(NotFoundError, match="no checkpoint at step 3") as missing:
        run.checkpoint(3)
    assert missing.value.got == "no checkpoint at all"
    with pytest.raises(NotFoundError, match="has no checkpoint to branch from"):
        run.branch()


def test_run_stays_as_it_was_read_until_it_is_refreshed(writer: Writer) -> None:
    run = first(writer)
    writer.end()
    assert run.status.phase == "running"
    assert run.refresh().status.phase == "completed"


def test_deleted_run_cannot_be_refreshed(writer: Writer) -> None:
    run = first(writer)
    writer.db.delete({}, "runs")
    with pytest.raises(NotFoundError, match="found no document in 'runs'"):
        run.refresh()


def steps_of_loss(session: Session) -> list[int]:
    history = session.history
    return list(history["train.loss"].steps) if history.paths() else []


@pytest.fixture(scope="module")
def trained() -> Run:
    short = config(schedule__duration="2 steps", schedule__validate=None)
    run = Session.from_meta(config=short).run()
    assert run is not None
    return run


def test_resumed_session_holds_the_run_as_it_was_left(trained: Run) -> None:
    session = trained.resume()
    assert session.trainer.step == 2
    assert steps_of_loss(session) == [1, 2]
    assert session.status.phase == "completed"


def test_resume_from_an_earlier_step_goes_back(trained: Run) -> None:
    session = trained.resume(step=1)
    assert session.trainer.step == 1
    assert steps_of_loss(session) == [1]


def test_branch_starts_a_new_history_at_the_checkpoint(trained: Run) -> None:
    name = "trainer.model.optimizer.weight_decay"
    session = trained.branch({name: 0.5}, step=1)
    (group,) = session.trainer.model.optimizer.param_groups
    assert session.trainer.step == 1
    assert steps_of_loss(session) == []
    assert group["weight_decay"] == 0.5
