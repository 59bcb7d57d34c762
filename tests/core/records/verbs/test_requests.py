"""What is asked of a running run from outside; what does not run is not asked."""

from __future__ import annotations

import os
import threading

import pytest

from ptutils.core.records.run import Run
from ptutils.db.memory import MemoryInterface
from ptutils.errors import NotFoundError, StatusError
from tests.core.stored import Writer, killed


@pytest.fixture
def writer() -> Writer:
    writer = Writer()
    writer.create()
    return writer


def run_of(writer: Writer) -> Run:
    found = writer.db.runs.find()[0]
    assert isinstance(found, Run)
    return found


@pytest.mark.parametrize(
    ("method", "verb"),
    [
        (Run.stop, "stop"),
        (Run.pause, "pause"),
        (Run.go_on, "go on"),
        (Run.ask_for_checkpoint, "checkpoint"),
    ],
)
def test_request_says_what_is_asked_and_by_whom(
    writer: Writer, method: object, verb: str
) -> None:
    run = run_of(writer)
    getattr(run, method.__name__)()  # type: ignore[attr-defined]
    request = run.refresh().document["request"]
    assert request["verb"] == verb
    assert request["by"]["pid"] == os.getpid()
    assert set(request) == {"verb", "by", "at", "id", "reason"}


def test_later_request_takes_the_place_of_one_not_yet_seen(writer: Writer) -> None:
    run = run_of(writer)
    run.pause()
    run.stop("enough")
    request = run.refresh().document["request"]
    assert (request["verb"], request["reason"]) == ("stop", "enough")


def test_run_that_has_ended_is_not_asked(writer: Writer) -> None:
    writer.end()
    with pytest.raises(StatusError, match="to stop") as refused:
        run_of(writer).stop()
    assert refused.value.got == "completed"


def test_run_whose_process_died_is_not_asked(writer: Writer) -> None:
    run = run_of(writer)
    killed(writer.db, run.id)
    with pytest.raises(StatusError, match="to go on") as refused:
        run.go_on()
    assert (refused.value.got, refused.value.fix) == ("lost", "resume it first")
    assert run.refresh().document["request"] is None


def test_run_that_is_gone_is_not_asked(writer: Writer) -> None:
    run = run_of(writer)
    writer.db.delete({}, "runs")
    with pytest.raises(NotFoundError, match="found no document in 'runs'"):
        run.pause()


class Ending(MemoryInterface):
    """Where a run ends just after it was looked at."""

    def _update(self, collection: str, *arguments: object, **more: object) -> int:  # type: ignore[override]
        self.delete({}, "runs")
        return 0


def test_run_that_ends_at_this_moment_is_not_asked() -> None:
    writer = Writer(Ending())
    writer.create()
    with pytest.raises(StatusError, match="cannot ask run"):
        run_of(writer).pause()


def test_request_that_was_seen_is_not_waited_for(writer: Writer) -> None:
    run = run_of(writer)
    run.ask_for_checkpoint()
    seen = {"$set": {"request": None}}
    see = threading.Timer(0.15, writer.db.update, [{}, seen], {"collection": "runs"})
    see.start()
    assert run.wait(timeout_s=60)
    see.join()


def test_request_that_nobody_sees_is_waited_for_so_long(writer: Writer) -> None:
    run = run_of(writer)
    run.pause()
    assert not run.wait(timeout_s=0.15)


def test_dead_process_is_not_waited_for(writer: Writer) -> None:
    run = run_of(writer)
    run.pause()
    killed(writer.db, run.id)
    assert not run.wait(timeout_s=60)
