"""Single values are short, honest words."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from ptutils.core.results.cells import (
    format_age,
    format_value,
    one_line,
    sparkline,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1 / 3, "0.3333"), (12, "12"), (True, "True"), (None, ""), (math.nan, "nan")],
)
def test_value_is_one_short_word(value: object, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "now"), (0, "now"), (59, "59 s"), (3599, "59 min"), (9000, "2 h")],
)
def test_age_is_told_in_its_largest_unit(seconds: int, text: str) -> None:
    assert format_age(NOW - timedelta(seconds=seconds), NOW) == text


def test_sparkline_rises_with_the_curve() -> None:
    assert sparkline([0.0, 1.0]) == "▁█"


def test_sparkline_of_a_constant_is_flat() -> None:
    assert sparkline([3.0, 3.0, 3.0]) == "▁▁▁"


def test_sparkline_of_nothing_is_empty() -> None:
    assert sparkline([]) == ""


def test_long_curve_is_averaged_into_the_width() -> None:
    assert sparkline([0.0, 2.0, 8.0, 8.0], width=2) == "▁█"


def test_curve_without_a_finite_value_is_a_gap() -> None:
    assert sparkline([math.nan, math.inf]) == "  "


def test_text_of_several_lines_becomes_one() -> None:
    assert one_line("a\n\tb ") == "a b"


@pytest.mark.parametrize("hostile", ["\x1b]0;title\x07", "\u202egnp.exe", "a\0b"])
def test_text_that_would_command_a_terminal_is_spelled_out(hostile: str) -> None:
    shown = one_line(hostile)

    assert shown.isprintable()
    assert shown.encode().decode("unicode_escape") == hostile
