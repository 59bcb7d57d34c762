"""Runs copied in spite of crashes, damage, and others who write at the same time."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import ptutils
from ptutils.core.records.moving.copying import copy_run
from ptutils.db.memory import MemoryInterface
from ptutils.errors import (
    CorruptError,
    DatabaseError,
    LeaseError,
    NotFoundError,
    UnavailableError,
)
from tests.core.copies import Counting, Make, big, content, resumed, run_of, written
from tests.core.stored import Writer, steps_of

MONGO = pytest.param("mongodb", marks=pytest.mark.mongo)


class TakenOver(MemoryInterface):
    """Where another process takes every run over at the last moment."""

    def _update(self, collection: str, *arguments: Any, **more: Any) -> int:
        return 0


def test_run_that_is_taken_over_at_this_moment_is_left_alone() -> None:
    source, target = MemoryInterface(), TakenOver()
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    resumed(source, run_id, 3).end()
    with pytest.raises(LeaseError, match="cannot copy run") as held:
        target.import_runs(source)
    assert "at this moment" in held.value.got


def test_one_run_that_cannot_be_copied_leaves_the_others(make: Make) -> None:
    source, target = make("a"), make("b")
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    resumed(target, run_id, 3)
    other = written(source).recorder.run_id
    with pytest.raises(DatabaseError, match="cannot copy 1 of 2 runs") as refused:
        target.import_runs(source)
    assert run_id in refused.value.got
    assert len(target.runs.find({"_id": other})) == 1


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    ("collection", "change"),
    [
        ("runs", {"segments": 3}),
        ("checkpoints", {"segment": "0"}),
        ("history", {"index": None}),
    ],
)
def test_documents_that_are_none_of_ours_are_refused(
    side: str, collection: str, change: dict[str, Any]
) -> None:
    databases = {"source": MemoryInterface(), "target": MemoryInterface()}
    written(databases["source"])
    databases["target"].import_runs(databases["source"])
    run_of(databases["source"]).tag("new")
    run_id = run_of(databases["source"]).id
    db = databases[side]
    db.update({}, {"$set": change}, many=True, collection=collection)
    with pytest.raises(CorruptError, match=f"cannot read {collection}"):
        copy_run(databases["source"], databases["target"], run_id)


class Damaged(MemoryInterface):
    """Where one artifact cannot be read."""

    digest = ""

    def _get(self, digest: str) -> memoryview:
        if digest == self.digest:
            raise CorruptError(f"cannot read artifact {digest}")
        return super()._get(digest)


def test_damaged_checkpoint_is_told_and_all_others_are_copied() -> None:
    source, target = Damaged(), MemoryInterface()
    written(source)
    (whole,) = source._find("checkpoints", {"step": 2})
    source.digest = whole["artifacts"][0]
    with pytest.raises(CorruptError, match="cannot copy 1 checkpoints") as damaged:
        target.import_runs(source)
    assert source.digest in damaged.value.got
    assert [each.step for each in run_of(target).checkpoints] == [0, 1]
    source.digest = ""
    target.import_runs(source)
    assert content(target) == content(source)


class Pruning(MemoryInterface):
    """Drops a checkpoint when its artifact is about to be read."""

    step = 2

    def _get(self, digest: str) -> memoryview:
        if self._count("checkpoints", {"step": self.step, "artifacts": digest}):
            self.delete({"step": self.step}, "checkpoints")
            raise NotFoundError("found no artifact")
        return super()._get(digest)


def test_checkpoint_dropped_meanwhile_is_passed_over() -> None:
    source, target = Pruning(), MemoryInterface()
    written(source)
    (copy,) = target.import_runs(source)
    assert [each.step for each in copy.checkpoints] == [0, 1]


def test_many_artifacts_are_carried_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ptutils.core.records.moving.carrying._BATCH_BYTES", 1 << 20)
    source, target = MemoryInterface(), Counting()
    writer = Writer(source)
    writer.create()
    writer.save(0, **{f"array{seed}": big(seed) for seed in range(3)})
    writer.end()
    target.import_runs(source)
    assert content(target) == content(source)
    assert target.puts == [1, 1, 1]


class Lying(MemoryInterface):
    """Stores other bytes than it is given."""

    def _put(self, artifacts: Any) -> list[str]:
        return super()._put([bytes(len(each)) for each in artifacts])


def test_artifacts_are_verified_where_they_arrive() -> None:
    source, target = MemoryInterface(), Lying()
    written(source)
    with pytest.raises(CorruptError, match="cannot copy"):
        target.import_runs(source)


class Resuming(MemoryInterface):
    """Where the run is resumed after its document was read."""

    is_asked = False

    def _one(self, collection: str, filter: Any) -> Any:
        found = super()._one(collection, filter)
        if collection == "runs" and not self.is_asked:
            self.is_asked = True
            resumed(self, found["_id"], 3).end()
        return found


def test_run_that_is_resumed_meanwhile_is_copied_as_it_was() -> None:
    source, target = Resuming(), MemoryInterface()
    written(source)
    (copy,) = target.import_runs(source)
    assert steps_of(copy.history) == [1, 2]
    assert [each.step for each in copy.checkpoints] == [0, 1, 2]
    target.import_runs(source)
    assert content(target) == content(source)


@pytest.mark.parametrize("is_known", [False, True])
def test_copy_goes_on_after_a_failure_at_any_moment(is_known: bool) -> None:
    source, target = MemoryInterface(), Counting()
    run_id = written(source).recorder.run_id
    if is_known:
        target.import_runs(source)
        resumed(source, run_id, 3, 4).end()
    for moment in itertools.count():
        target.count, target.fails_after = 0, moment
        try:
            target.import_runs(source)
        except UnavailableError:
            for run in target.runs.find():
                assert all(each.state for each in run.checkpoints)
        else:
            break
        # The failure of each moment is the first of a new copy, too.
        if not is_known:
            target = Counting()
    assert moment > 2
    assert content(target) == content(source)


def test_remains_of_another_history_are_removed(make: Make) -> None:
    source, target = make("a"), make("b")
    run_id = written(source).recorder.run_id
    target.import_runs(source)
    resumed(target, run_id, 3).end()
    different = {"$set": {"last_step": 7}}
    target.update({"index": 0}, different, many=True, collection="history")
    target.delete({}, "runs")
    target.import_runs(source)
    assert steps_of(run_of(target).history) == [1, 2]
    assert content(target)["history"] == content(source)["history"]


COPYING = """
import sys
import ptutils
source, target = map(ptutils.connect, sys.argv[1:])
print("ready", flush=True)
target.import_runs(source)
"""


def moments() -> Iterator[float]:
    yield from (0.0, 0.002, 0.005, 0.01, 0.02, 0.04)


@pytest.mark.parametrize("kind", ["sqlite", "files", MONGO])
def test_killed_copy_goes_on(url_of: Callable[[str, str], str], kind: str) -> None:
    urls = url_of("sqlite", "a"), url_of(kind, "b")
    source = ptutils.connect(urls[0])
    for _ in range(3):
        written(source)
    for delay in moments():
        copy_and_kill(urls, delay)
        with ptutils.connect(urls[1]) as target:
            for run in target.runs.find():
                assert all(each.state for each in run.checkpoints)
                assert steps_of(run.history) == [1, 2]
    with ptutils.connect(urls[1]) as target:
        target.import_runs(source)
        assert content(target) == content(source)


def copy_and_kill(urls: tuple[str, str], delay_s: float) -> None:
    """Copy in another process, which is killed after some seconds."""
    command = [sys.executable, "-c", COPYING, *urls]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            process.kill()
