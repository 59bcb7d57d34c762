"""Runs copied between databases: equal there, whatever happens on the way."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptutils
from ptutils.core.records.copying import copy_run
from ptutils.core.records.document import new_id
from ptutils.core.records.run import Run, place_of
from ptutils.db.memory import MemoryInterface
from ptutils.errors import (
    CorruptError,
    DatabaseError,
    LeaseError,
    NotFoundError,
    UnavailableError,
)
from ptutils.meta.codec import dumps
from tests.core.stored import ENCODED, FIELDS, Writer, killed, steps_of
from tests.mongod import Mongod, running_mongod

LARGE = 1 << 19
"""Numbers that make a State too large for its document."""

COLLECTIONS = ("runs", "checkpoints", "history")

Make = Callable[[str], Any]


MONGO = pytest.param("mongodb", marks=pytest.mark.mongo)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    """A server without transactions."""
    with running_mongod(tmp_path_factory.mktemp("mongod")) as server:
        yield server


@pytest.fixture
def url_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str, str], str]:
    """Return the URL of a new database, given its kind and name."""

    def url(kind: str, name: str) -> str:
        if kind == "mongodb":
            server: Mongod = request.getfixturevalue("server")
            return server.url.replace("/test?", f"/{new_id()}?")
        return "memory:" if kind == "memory" else f"{kind}:{tmp_path / name}"

    return url


@pytest.fixture(params=["memory", "sqlite", "files", MONGO])
def make(
    request: pytest.FixtureRequest, url_of: Callable[[str, str], str]
) -> Iterator[Make]:
    """Open the database of a name."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(
            ptutils.connect(url_of(request.param, name))
        )


def big(seed: int) -> Any:
    return np.full(LARGE, seed, dtype=np.int64)


def written(db: Any, *, is_over: bool = True) -> Writer:
    """Write a run with three checkpoints, a large array shared by two of them."""
    writer = Writer(db)
    array = np.arange(2000)
    config = {"class": "Session", "betas": (0.9, 0.99), "weights": array}
    writer.recorder.create(dict(FIELDS), {**ENCODED, "config": config})
    writer.save(0, "start", array=big(1))
    for step in (1, 2):
        writer.history.record(step, 0, "valid.loss", math.nan)
        writer.record(step)
        writer.save(step, array=big(step), own=step)
    if is_over:
        writer.end()
    return writer


def resumed(db: Any, run_id: str, *steps: int, at: int = 2) -> Writer:
    """Go on with a run from a checkpoint for some steps, as another process would."""
    (run,) = db.runs.find({"_id": run_id})
    if run.document["lease"] is not None:
        killed(db, run_id)
    again = Writer(db)
    place = place_of(run.checkpoint(at))
    again.recorder.acquire(run_id, {}, dict(ENCODED), place)
    again.record(*steps)
    again.save(steps[-1])
    return again


def content(db: Any) -> dict[str, list[str]]:
    """Return all documents as text, and the digests of all artifacts."""
    texts = {
        name: sorted(dumps(dict(sorted(each.items()))) for each in db._find(name, {}))
        for name in COLLECTIONS
    }
    return {**texts, "artifacts": sorted(db._stored())}


def run_of(db: Any) -> Run:
    (run,) = db.runs.find()
    assert isinstance(run, Run)
    return run


class Counting(MemoryInterface):
    """Counts what is written to it, and fails when it is told to."""

    def __init__(self, fails_after: int | None = None) -> None:
        super().__init__()
        self.count = 0
        self.puts: list[int] = []
        self.fails_after = fails_after

    def _insert(self, collection: str, documents: Any) -> None:
        self._note()
        super()._insert(collection, documents)

    def _delete(self, collection: str, filter: Any) -> int:
        self._note()
        return super()._delete(collection, filter)

    def _put(self, artifacts: Any) -> list[str]:
        self._note()
        self.puts.append(len(artifacts))
        return super()._put(artifacts)

    def _update(self, collection: str, *arguments: Any, **more: Any) -> int:
        self._note()
        return super()._update(collection, *arguments, **more)

    def _note(self) -> None:
        if self.count == self.fails_after:
            raise UnavailableError("cannot reach this database")
        self.count += 1


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


def test_run_that_is_not_there_cannot_be_copied() -> None:
    with pytest.raises(NotFoundError, match="found no document in 'runs'"):
        copy_run(MemoryInterface(), MemoryInterface(), "none")


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
    monkeypatch.setattr("ptutils.core.records.carrying._BATCH_BYTES", 1 << 20)
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
