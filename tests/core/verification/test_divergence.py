"""Where two traced runs part: in which step, and in what first."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ptutils.core.records.run import Run
from ptutils.core.verification.divergence import Divergence, divergence_of
from ptutils.errors import NotFoundError
from tests.core.stored import Writer


def run(points: dict[str, list[Any]], **state: Any) -> Run:
    """Return a run with points from step 1 on, saved once after the last."""
    writer = Writer()
    writer.create()
    for path, values in points.items():
        for step, value in enumerate(values, start=1):
            writer.history.record(step, 0, path, value)
    writer.save(9, **state)
    (found,) = writer.db.runs.find()
    return found


def test_equal_runs_do_not_part() -> None:
    points = {"loss": [0.5, math.nan], "trace.samples": [1.0, 2.0]}
    assert divergence_of(run(points), run(points)) is None


@pytest.mark.parametrize(
    ("path", "kind", "shown"),
    [
        ("trace.samples", "samples", "samples"),
        ("trace.batch", "batch", "batch"),
        ("trace.state/random/torch", "random streams", "state.random.torch"),
        ("trace.net/0.weight", "state", "net.0.weight"),
        ("valid.loss", "metrics", "valid.loss"),
    ],
)
def test_the_first_step_that_differs_is_found(path: str, kind: str, shown: str) -> None:
    ours, theirs = run({path: [1.0, 2.0, 3.0]}), run({path: [1.0, 2.5, 3.5]})
    wanted = Divergence(step=2, kind=kind, paths=[shown])
    assert divergence_of(ours, theirs) == wanted


def test_causes_are_told_before_effects() -> None:
    names = [
        "valid.loss",
        "trace.net/weight",
        "trace.state/random/torch",
        "trace.samples",
    ]
    ours, theirs = (run({name: [1.0, last] for name in names}) for last in (2.0, 3.0))
    found = divergence_of(ours, theirs)
    assert found is not None
    assert found.kind == "samples"
    assert found.paths == ["samples", "state.random.torch", "net.weight", "valid.loss"]


@pytest.mark.parametrize(
    ("ours", "theirs", "step"),
    [([0.0], [-0.0], 1), ([1.0], [1], 1), ([1.0], [1.0, 2.0], 2), ([], [1.0], 1)],
)
def test_points_are_the_same_by_bits_and_type(
    ours: list[Any], theirs: list[Any], step: int
) -> None:
    found = divergence_of(run({"a": ours}), run({"a": theirs}))
    assert found == Divergence(step=step, kind="metrics", paths=["a"])


def test_a_final_state_that_differs_is_told_by_its_leaves() -> None:
    found = divergence_of(run({}, a=1, b=2), run({}, a=1, b=3))
    assert found == Divergence(step=9, kind="state", paths=["b"])


def test_runs_that_were_never_saved_cannot_be_compared() -> None:
    writer = Writer()
    writer.create()
    (unsaved,) = writer.db.runs.find()
    with pytest.raises(
        NotFoundError, match="cannot compare runs that were never saved"
    ):
        divergence_of(unsaved, unsaved)
