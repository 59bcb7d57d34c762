"""Runs that are copied again: what was lost comes back, whoever is at work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

import ptutils
from ptutils.core.records.identity import now
from ptutils.core.records.moving import carrying
from ptutils.core.records.moving.copying import copy_run
from ptutils.core.records.upkeep import garbage
from ptutils.db.memory import MemoryInterface
from ptutils.errors import CorruptError, DatabaseError, LeaseError
from tests.core.copies import Counting, Make, content, resumed, run_of, written
from tests.core.stored import Writer, steps_of


def test_history_that_was_lost_comes_again(make: Make) -> None:
    source, target = make("a"), make("b")
    written(source)
    target.import_runs(source)
    target.delete({"index": 0}, "history")
    target.import_runs(source)
    assert content(target) == content(source)
    assert target.verify() == []


def test_checkpoint_that_was_lost_comes_again(make: Make) -> None:
    source, target = make("a"), make("b")
    written(source)
    target.import_runs(source)
    target.delete({"step": 1}, "checkpoints")
    target.import_runs(source)
    assert content(target) == content(source)


def test_history_that_was_lost_comes_again_where_the_run_went_on(make: Make) -> None:
    source, target = make("a"), make("b")
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    resumed(target, run_id, 3).end()
    before = content(target)
    target.delete({"index": 0, "segment": 0}, "history")
    target.delete({"path": "loss", "index": 1}, "history")
    target.import_runs(source)
    assert content(target) == before


def test_history_of_another_metric_at_one_place_was_not_lost() -> None:
    source, target = MemoryInterface(), MemoryInterface()
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    resumed(source, run_id, 3).end()
    resumed(target, run_id, 3).end()
    (last,) = target._find("history", {"segment": 1})
    target.delete({"segment": 1}, "history")
    other = {**last, "_id": f"{run_id}.1.0.other", "path": "other"}
    target._insert("history", [other])
    with pytest.raises(DatabaseError, match="cannot copy run"):
        target.import_runs(source)


MONGO = pytest.param("mongodb", marks=pytest.mark.mongo)


class Cleaned(MemoryInterface):
    """Time passes before parts arrive, and it is cleaned meanwhile."""

    pause = timedelta(minutes=50)
    moments: Any = range(1000)
    moment = 0
    removed = 0

    def _transact(self, act: Any) -> Any:
        if self.moment in self.moments:
            for _ in range(2):
                Clock.offset += self.pause / 2
                self.removed += self.gc().documents
        self.moment += 1
        return super()._transact(act)


class Clock:
    """Tells later times the more time passes."""

    offset = timedelta()

    @classmethod
    def now(cls) -> datetime:
        return now() + cls.offset


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "offset", timedelta())
    for module in (garbage, carrying, sys.modules["ptutils.db.memory"]):
        monkeypatch.setattr(module, "now", Clock.now)


@pytest.mark.usefixtures("clock")
def test_parts_are_kept_as_long_as_more_of_them_come() -> None:
    source, target = MemoryInterface(), Cleaned()
    written(source)
    target.import_runs(source)
    assert Clock.offset > timedelta(hours=2)
    assert target.removed == 0
    assert content(target) == content(source)
    assert target._find("orphans", {}) == []


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("moment", [0, 1, 2, 3])
def test_parts_that_were_cleaned_away_meanwhile_are_copied_again(moment: int) -> None:
    source, target = MemoryInterface(), Cleaned()
    written(source)
    target.pause, target.moments = timedelta(hours=3), [moment]
    target.import_runs(source)
    assert target.removed > 0
    assert content(target) == content(source)


@pytest.mark.usefixtures("clock")
def test_run_whose_parts_are_always_cleaned_away_is_not_copied() -> None:
    source, target = MemoryInterface(), Cleaned()
    written(source)
    target.pause = timedelta(hours=3)
    with pytest.raises(LeaseError, match="cannot copy run") as refused:
        target.import_runs(source)
    assert "changes at this moment" in refused.value.got
    assert target._find("runs", {}) == []


@pytest.mark.usefixtures("clock")
def test_artifacts_that_take_too_long_together_are_not_taken_for_kept() -> None:
    class Slow(MemoryInterface):
        def _put(self, artifacts: Any) -> list[str]:
            digests = super()._put(artifacts)
            Clock.offset += timedelta(minutes=40)
            return digests

    source = MemoryInterface()
    written(source)
    with pytest.raises(DatabaseError, match=r"cannot copy \d+ artifacts"):
        Slow().import_runs(source)


class Shared(MemoryInterface):
    """Another process copies the same run when something is first inserted."""

    source: Any = None
    moment = ""

    def _insert(self, collection: str, documents: Any) -> None:
        if collection == self.moment:
            self.moment = ""
            self.import_runs(self.source)
        super()._insert(collection, documents)

    def _update(self, collection: str, *arguments: Any, **more: Any) -> int:
        if collection == self.moment == "runs":
            self.moment = ""
            self.import_runs(self.source)
        return super()._update(collection, *arguments, **more)


@pytest.mark.parametrize("moment", ["history", "checkpoints", "runs"])
@pytest.mark.parametrize("is_known", [False, True])
def test_two_may_copy_a_run_at_once(moment: str, *, is_known: bool) -> None:
    source, target = MemoryInterface(), Shared()
    run_id = written(source, is_over=False).recorder.run_id
    if is_known:
        target.import_runs(source)
        lease = target._find("runs", {})[0]["lease"]
        assert lease is None
    resumed(source, run_id, 3, 4).end()
    target.source, target.moment = source, moment
    target.import_runs(source)
    assert target.moment == ""
    assert content(target) == content(source)


def test_two_may_bring_a_run_up_to_date_whose_lease_ran_out() -> None:
    source, target = MemoryInterface(), Shared()
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    expired = {"owner": "o", "host": "h", "pid": 1, "boot": "", "born": 1}
    expired["expires"] = now() - timedelta(days=1)
    target.update({}, {"$set": {"lease": expired}}, collection="runs")
    resumed(source, run_id, 3).end()
    target.source, target.moment = source, "runs"
    copy_run(source, target, run_id)
    assert content(target) == content(source)


class Refusing(MemoryInterface):
    """Takes no History."""

    def _insert(self, collection: str, documents: Any) -> None:
        if collection == "history":
            raise DatabaseError("cannot insert a document")
        super()._insert(collection, documents)


def test_target_that_refuses_a_part_is_told() -> None:
    source = MemoryInterface()
    written(source)
    with pytest.raises(DatabaseError, match="cannot insert a document"):
        Refusing().import_runs(source)


class Rotten(MemoryInterface):
    """Where no artifact can be read."""

    is_rotten = False

    def _get(self, digest: str) -> memoryview:
        if self.is_rotten:
            raise CorruptError(f"cannot read artifact {digest}")
        return super()._get(digest)


@pytest.mark.usefixtures("clock")
def test_artifact_that_is_damaged_here_is_renewed_from_there() -> None:
    source, target = Rotten(), MemoryInterface()
    written(source)
    target.import_runs(source)
    target.delete({}, "checkpoints")
    source.is_rotten = True
    Clock.offset = timedelta(minutes=40)
    before = target._stored()
    target.import_runs(source)
    assert [each.step for each in run_of(target).checkpoints] == [0, 1, 2]
    assert sum(each != before[name] for name, each in target._stored().items()) == 2


def test_copy_without_parts_is_whole_at_once() -> None:
    source, target = MemoryInterface(), Counting()
    writer = Writer(source)
    writer.create()
    writer.end()
    (copy,) = target.import_runs(source)
    assert steps_of(copy.history) == []
    assert target._find("orphans", {}) == []


COPYING = """
import sys
import ptutils
source, target = map(ptutils.connect, sys.argv[1:])
print("ready", flush=True)
sys.stdin.readline()
target.import_runs(source)
"""


@pytest.mark.parametrize("kind", ["sqlite", "files", MONGO])
def test_processes_copy_the_same_runs_at_once(
    url_of: Callable[[str, str], str], kind: str
) -> None:
    urls = url_of("sqlite", "a"), url_of(kind, "b")
    source = ptutils.connect(urls[0])
    for _ in range(4):
        written(source)
    command = [sys.executable, "-c", COPYING, *urls]
    pipe = subprocess.PIPE
    both = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in both] == ["", ""]
    with ptutils.connect(urls[1]) as target:
        assert content(target) == content(source)
