"""Two runs side by side: only what differs, exact by type."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ptutils.core.records.run import Run
from ptutils.meta.plain import ABSENT
from tests.core.stored import ENCODED, FIELDS, Writer


def run_with(losses: tuple[float, ...] = (), **changes: Any) -> Run:
    writer = Writer()
    writer.recorder.create(dict(FIELDS), {**ENCODED, **changes})
    for step, loss in enumerate(losses, 1):
        writer.history.record(step, 0, "valid.loss", loss)
    writer.end()
    return writer.db.runs.find()[0]


def test_equal_runs_differ_in_nothing() -> None:
    one, other = run_with((1.0, math.nan)), run_with((1.0, math.nan))
    difference = one.diff(other)
    assert not difference
    assert {name: dict(each) for name, each in difference.items()} == {
        "config": {},
        "source": {},
        "summary": {},
    }


def test_config_differs_in_value_and_in_type() -> None:
    one = run_with(config={"net": {"width": 1, "betas": (0.9,)}, "seed": 3})
    other = run_with(config={"net": {"width": 1.0, "betas": [0.9]}, "lr": 0.1})
    assert one.diff(other)["config"] == {
        "net.width": (1, 1.0),
        "net.betas": ((0.9,), [0.9]),
        "seed": (3, ABSENT),
        "lr": (ABSENT, 0.1),
    }


def test_source_and_summary_differ_too() -> None:
    one = run_with((0.5,), source={"commit": "a", "packages": {"torch": "2.1"}})
    other = run_with((0.25,), source={"commit": "a", "packages": {"torch": "2.2"}})
    difference = one.diff(other)
    assert difference["source"] == {"packages.torch": ("2.1", "2.2")}
    assert difference["summary"]["valid.loss.min"] == (0.5, 0.25)
    assert "valid.loss.min_step" not in difference["summary"]


def test_package_that_one_run_alone_had_imported_is_no_difference() -> None:
    one = run_with(source={"packages": {"rich": "15.0.0", "torch": "2.1"}})
    other = run_with(source={"packages": {"numpy": "2.0", "torch": "2.1"}})
    assert not one.diff(other)


def test_rows_follow_the_sections() -> None:
    one = run_with((0.5,), config={"seed": 1}, source={"host": "a"})
    other = run_with(config={"seed": 2}, source={"host": "b"})
    difference = one.diff(other)
    assert [(row.section, row.path) for row in difference.rows] == [
        ("config", "seed"),
        ("source", "host"),
        ("summary", "valid"),
    ]
    assert difference
    assert repr(difference) == (
        f"Difference({one.id!r}, {other.id!r}: config 1, source 1, summary 1)"
    )


def test_unknown_section_is_refused() -> None:
    difference = run_with().diff(run_with())
    assert len(difference) == 3
    with pytest.raises(KeyError, match="confg"):
        difference["confg"]
