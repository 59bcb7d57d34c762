"""Trace tells by digests what each step saw and left."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

import ptutils
from ptutils.callbacks.trace import Trace
from ptutils.core.session import Session
from ptutils.errors import ConfigError
from ptutils.meta.history import History
from tests.core.experiment import config
from tests.core.training import provider, trainer


def traced(every: int = 1, **changes: Any) -> History:
    session = Session.from_meta(
        config=config(schedule__duration="3 steps", dbinterface=None, **changes)
    )
    session.callbacks.register(Trace(every))
    session.run()
    return session.history


def points(history: History) -> dict[str, list[Any]]:
    return {path: list(history[path]) for path in history if path.startswith("trace.")}


def test_two_runs_of_one_experiment_leave_the_same_trace() -> None:
    first = points(traced())
    assert first == points(traced())
    paths = set(first)
    assert {"trace.samples", "trace.batch", "trace.state/random/torch"} <= paths
    assert "trace.trainer/model/net/1/weight" in paths
    assert [point.step for point in first["trace.samples"]] == [1, 2, 3]


def test_another_seed_leaves_another_trace() -> None:
    first, other = points(traced()), points(traced(seed=4))
    for path in ("trace.samples", "trace.batch", "trace.trainer/model/net/1/weight"):
        pairs = zip(first[path], other[path], strict=True)
        assert all(ours.value != theirs.value for ours, theirs in pairs)
    assert first["trace.trainer/state/step"] == other["trace.trainer/state/step"]


def test_it_looks_at_every_so_many_th_step_only() -> None:
    assert [point.step for point in traced(every=2)["trace.samples"]] == [2]


def test_a_trainer_alone_is_traced_by_its_own_state() -> None:
    alone = trainer(Trace())
    alone.train(provider(), schedule=ptutils.Schedule("1 step"))
    assert "trace.model/net/0/weight" in alone.history
    assert "trace.samples" in alone.history


def test_what_a_loader_does_not_know_is_left_out() -> None:
    class Batch:
        """The codec does not know it."""

    class Loader:
        state = ptutils.State(epoch=0, position=1)

    class Provider:
        loaders: ClassVar[dict[str, Any]] = {"train": Loader()}

    found: list[str] = []
    Trace().end_of_training_step(
        step=1,
        epoch=0,
        batch=Batch(),
        provider=Provider(),  # type: ignore[arg-type]
        session=None,
        trainer=trainer(),
        record=lambda step, epoch, path, value: found.append(path),
    )
    assert not {"trace.samples", "trace.batch"} & set(found)


def test_never_looking_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot trace steps that often"):
        Trace(every=0)
