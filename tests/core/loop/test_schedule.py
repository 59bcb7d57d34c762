"""The Schedule decides from counters alone; retention never drops the newest."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptutils.core.loop.duration import Duration
from ptutils.core.loop.schedule import Schedule
from ptutils.errors import ConfigError


def _checkpoint(step: int, **fields: Any) -> dict[str, Any]:
    known = {"_id": f"r.{step:08}.1", "step": step, "epoch": step // 10, "metrics": {}}
    return {**known, "why": "schedule", "pinned": False, **fields}


def _measured(*accuracies: float) -> list[dict[str, Any]]:
    return [
        _checkpoint(step, metrics={"valid.accuracy": accuracy})
        for step, accuracy in enumerate(accuracies, start=1)
    ]


def _steps(schedule: Schedule, checkpoints: list[dict[str, Any]]) -> list[int]:
    kept = schedule.retained(checkpoints)
    return [document["step"] for document in checkpoints if document["_id"] in kept]


@pytest.mark.parametrize(
    ("duration", "counters", "over"),
    [
        ("10 epochs", (999, 9, 9.0), False),
        ("10 epochs", (1, 10, 9.0), True),
        ("100 steps", (99, 50, 9.0), False),
        ("100 steps", (100, 0, 9.0), True),
        ("1 min", (999, 99, 59.0), False),
        ("1 min", (0, 0, 60.0), True),
    ],
)
def test_training_is_over_when_its_own_counter_reaches_the_duration(
    duration: str, counters: tuple[int, int, float], over: bool
) -> None:
    assert Schedule(duration).is_over(*counters) is over
    assert Schedule(duration)(*counters) is over


@pytest.mark.parametrize(
    ("duration", "counters", "fraction"),
    [
        ("10 epochs", (999, 2.5, 9.0), 0.25),
        ("100 steps", (50, 50, 9.0), 0.5),
        ("100 steps", (200, 0, 9.0), 1.0),
        ("1 min", (999, 99, 15.0), 0.25),
        ("1 min", (0, 0, 61.0), 1.0),
    ],
)
def test_fraction_is_the_part_of_the_duration_that_is_done(
    duration: str, counters: tuple[int, float, float], fraction: float
) -> None:
    assert Schedule(duration).fraction(*counters) == fraction


@given(st.integers(0, 500), st.integers(1, 50), st.integers(1, 50))
def test_nothing_by_steps_is_due_before_the_next_step(
    step: int, validate: int, checkpoint: int
) -> None:
    schedule = Schedule(validate=f"{validate} steps", checkpoint=f"{checkpoint} steps")
    upcoming = schedule.next_step(step)
    due = [
        later
        for later in range(step + 1, upcoming + 1)
        if schedule.after_step("validate", later)
        or schedule.after_step("checkpoint", later)
    ]
    assert due == [upcoming]


def test_loop_by_epochs_need_not_look_up_between_steps() -> None:
    assert Schedule().next_step(7) == sys.maxsize


def test_loop_looks_up_at_the_last_step_of_the_duration() -> None:
    assert Schedule("100 steps").next_step(7) == 100


def test_loop_by_seconds_looks_up_after_each_step() -> None:
    assert Schedule("2 h").next_step(7) == 8


def test_what_goes_by_epochs_is_due_after_epochs_only() -> None:
    schedule = Schedule(validate="2 epochs")
    assert [schedule.after_epoch("validate", epoch) for epoch in (1, 2, 3, 4)] == [
        False,
        True,
        False,
        True,
    ]
    assert not schedule.after_step("validate", 2)


def test_what_goes_by_steps_is_not_due_after_epochs() -> None:
    assert not Schedule(checkpoint="2 steps").after_epoch("checkpoint", 2)


def test_what_is_never_to_happen_is_never_due() -> None:
    schedule = Schedule(validate=None, checkpoint=None)
    assert not schedule.after_step("validate", 1)
    assert not schedule.after_epoch("checkpoint", 1)


def test_each_period_of_seconds_is_due_once() -> None:
    schedule = Schedule(checkpoint="10 s")
    due = [
        schedule.after_step("checkpoint", step, elapsed_s)
        for step, elapsed_s in enumerate((5.0, 11.0, 19.0, 35.0, 36.0))
    ]
    assert due == [False, True, False, True, False]


def test_resumed_schedule_remembers_the_periods_that_passed() -> None:
    schedule, resumed = Schedule(checkpoint="10 s"), Schedule(checkpoint="10 s")
    schedule.after_step("checkpoint", 1, 11.0)
    resumed.load_state_dict(schedule.state_dict())
    assert not resumed.after_step("checkpoint", 2, 12.0)


def test_checkpoint_may_be_written_as_a_mapping() -> None:
    schedule = Schedule(checkpoint={"every": "3 epochs"})
    assert schedule.checkpoint == Duration.parse("3 epochs")


def test_config_of_a_schedule_is_what_it_was_made_from() -> None:
    keep = {"last": 2, "every": "10 epochs"}
    assert Schedule("5 epochs", keep=keep).config == {
        "class": "Schedule",
        "duration": "5 epochs",
        "keep": keep,
    }


def test_unclear_duration_is_refused_with_its_path() -> None:
    with pytest.raises(ConfigError, match="cannot read a duration at 'validate'"):
        Schedule(validate="often")


def test_samples_are_refused_since_no_counter_holds_them() -> None:
    with pytest.raises(ConfigError, match="cannot schedule by samples at 'duration'"):
        Schedule("5000 samples")


def test_without_rules_every_checkpoint_stays() -> None:
    assert _steps(Schedule(), _measured(0.1, 0.2)) == [1, 2]


def test_last_keeps_the_newest() -> None:
    assert _steps(Schedule(keep={"last": 2}), _measured(0.9, 0.8, 0.7)) == [2, 3]


def test_newest_is_the_one_written_last_whatever_its_step() -> None:
    again = [_checkpoint(20), _checkpoint(15)]
    assert _steps(Schedule(keep={"last": 1}), again) == [15]


def test_best_keeps_the_greatest_and_of_equals_the_earlier() -> None:
    best = {"metric": "valid.accuracy", "mode": "max", "count": 2}
    schedule = Schedule(keep={"best": best})
    assert _steps(schedule, _measured(0.9, 0.5, 0.9, 0.9, 0.1)) == [1, 3, 5]


def test_best_keeps_the_least_and_passes_over_nan() -> None:
    best = {"metric": "valid.accuracy", "mode": "min"}
    schedule = Schedule(keep={"best": best})
    assert _steps(schedule, _measured(float("nan"), 0.2, 0.5)) == [2, 3]


def test_best_is_found_in_nested_metrics() -> None:
    best = {"metric": "valid.accuracy", "mode": "max"}
    nested = [_checkpoint(1, metrics={"valid": {"accuracy": 1.0}}), _checkpoint(2)]
    assert _steps(Schedule(keep={"best": best}), nested) == [1, 2]


def test_before_the_first_validation_there_is_no_best() -> None:
    best = {"metric": "valid.accuracy", "mode": "max"}
    assert _steps(Schedule(keep={"best": best}), [_checkpoint(1)]) == [1]


@pytest.mark.parametrize(
    "metrics", [{"valid.accuracy": float("nan")}, {"valid": {"accuracy": float("nan")}}]
)
def test_metric_that_was_only_nan_is_no_typo(metrics: dict[str, Any]) -> None:
    best = {"metric": "valid.accuracy", "mode": "max"}
    checkpoints = [_checkpoint(1, metrics=metrics)]
    assert _steps(Schedule(keep={"best": best}), checkpoints) == [1]


@pytest.mark.parametrize(
    ("metric", "hint"), [("valid.acuracy", "did you mean 'valid.accuracy'"), ("x", "")]
)
def test_best_by_a_metric_that_nobody_measures_is_refused(
    metric: str, hint: str
) -> None:
    schedule = Schedule(keep={"best": {"metric": metric, "mode": "max"}})
    with pytest.raises(ConfigError, match=f"best checkpoint(?s:.*){hint}"):
        schedule.retained(_measured(0.5))


def test_every_keeps_the_first_of_each_period_for_good() -> None:
    schedule = Schedule(keep={"every": "3 epochs"})
    checkpoints = [_checkpoint(step) for step in range(5, 100, 5)]
    kept = _steps(schedule, checkpoints)
    assert kept == [30, 60, 90, 95]
    assert _steps(schedule, [c for c in checkpoints if c["step"] in kept]) == kept


@pytest.mark.parametrize("mark", [{"pinned": True}, {"why": "pinned"}])
def test_pinned_checkpoint_stays(mark: dict[str, Any]) -> None:
    checkpoints = [_checkpoint(1, **mark), _checkpoint(2), _checkpoint(3)]
    assert _steps(Schedule(keep={"last": 1}), checkpoints) == [1, 3]


@given(
    st.lists(st.tuples(st.floats(), st.booleans()), max_size=20),
    st.fixed_dictionaries(
        {},
        optional={
            "last": st.integers(1, 5),
            "every": st.integers(1, 5).map(lambda n: f"{n} steps"),
            "best": st.fixed_dictionaries(
                {"metric": st.just("m"), "mode": st.sampled_from(("min", "max"))},
                optional={"count": st.integers(1, 4)},
            ),
        },
    ),
)
def test_newest_and_pinned_checkpoints_always_stay(
    points: list[tuple[float, bool]], keep: dict[str, Any]
) -> None:
    checkpoints = [
        _checkpoint(step, metrics={"m": value}, pinned=pinned)
        for step, (value, pinned) in enumerate(points)
    ]
    kept = Schedule(keep=keep).retained(checkpoints)
    always = [c["_id"] for c in checkpoints if c["pinned"]]
    assert kept >= {*always, *(c["_id"] for c in checkpoints[-1:])}


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"lst": 3}, "at 'keep'(?s:.*)did you mean 'last'"),
        ({"zzz": 3}, "at 'keep'(?s:.*)got:      zzz$"),
        ("last", "at 'keep'(?s:.*)got:      'last'"),
        ({"last": 0}, "at 'keep.last'"),
        ({"last": True}, "at 'keep.last'"),
        ({"best": {"metric": "loss"}}, "at 'keep.best'(?s:.*)metric, mode"),
        ({"best": {}}, "at 'keep.best'(?s:.*)an empty mapping"),
        ({"best": {"metric": "loss", "mode": "low"}}, "at 'keep.best.mode'"),
        ({"every": "1 h"}, "at 'keep.every'"),
    ],
)
def test_mistaken_rule_is_refused_with_its_path(keep: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Schedule(keep=keep)


def test_mistaken_checkpoint_mapping_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"at 'checkpoint'(?s:.*)a mapping of every"):
        Schedule(checkpoint={"each": "1 epoch"})
