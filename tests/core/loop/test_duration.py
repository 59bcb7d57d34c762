"""Durations are read as people write them, and written so that they read the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptutils.core.loop.duration import Duration
from ptutils.errors import ConfigError

_COUNTS = st.integers(1, 10**9)
_TIMES = _COUNTS | st.floats(0.001, 1e6).map(lambda x: round(x, 3))


@given(
    st.builds(Duration, count=_COUNTS, unit=st.sampled_from(("steps", "epochs")))
    | st.builds(Duration, count=_COUNTS, unit=st.just("samples"))
    | st.builds(Duration, count=_TIMES, unit=st.sampled_from(("s", "min", "h")))
)
def test_text_of_a_duration_reads_as_the_same_duration(duration: Duration) -> None:
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(
    ("text", "count", "unit"),
    [
        ("100 steps", 100, "steps"),
        ("1 step", 1, "steps"),
        (" 2epochs ", 2, "epochs"),
        ("5000 Samples", 5000, "samples"),
        ("30 s", 30, "s"),
        ("30 seconds", 30, "s"),
        ("5 minutes", 5, "min"),
        ("1.5 hours", 1.5, "h"),
    ],
)
def test_units_may_be_singular_plural_or_short(
    text: str, count: float, unit: str
) -> None:
    assert Duration.parse(text) == Duration(count=count, unit=unit)


def test_a_duration_that_is_read_already_stays() -> None:
    duration = Duration.parse("1 epoch")
    assert Duration.parse(duration) is duration


def test_one_is_written_in_the_singular() -> None:
    assert [str(Duration.parse(text)) for text in ("1 steps", "2 steps", "1 s")] == [
        "1 step",
        "2 steps",
        "1 s",
    ]


def test_only_times_have_seconds() -> None:
    assert Duration.parse("5 min").seconds == 300
    assert Duration.parse("5 steps").seconds is None


@pytest.mark.parametrize("value", [100, "100", " 7 "])
def test_bare_number_is_refused_with_the_units_to_choose_from(value: object) -> None:
    with pytest.raises(ConfigError, match=r"write '\d+ steps' or '\d+ epochs'"):
        Duration.parse(value)  # type: ignore[arg-type]


def test_misspelt_unit_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean '3 epochs'"):
        Duration.parse("3 epocs")


@pytest.mark.parametrize("value", ["3 lightyears", "soon", None, "-1 steps"])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="cannot read a duration"):
        Duration.parse(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["0 steps", "0.0 s", "1.5 epochs"])
def test_zero_and_parts_of_what_is_whole_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="positive, whole number"):
        Duration.parse(text)
