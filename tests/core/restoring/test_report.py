from __future__ import annotations

import io

import rich.console

from ptutils.core.restoring.report import LoadReport

WEIGHTS = tuple(f"net.{layer}.{name}" for layer in range(20) for name in ("w", "b"))


def test_report_of_all_that_fits_is_short() -> None:
    report = LoadReport(loaded=WEIGHTS, missing=(), unexpected=(), mismatched={})
    assert str(report) == "loaded 40"


def test_long_lists_are_folded_with_their_numbers() -> None:
    report = LoadReport(
        loaded=(), missing=("lr", *WEIGHTS), unexpected=(), mismatched={}
    )
    assert str(report) == "loaded 0\nmissing 41: lr, net.* (40)"


def test_what_cannot_be_folded_is_counted() -> None:
    names = tuple(f"name{number}" for number in range(9))
    report = LoadReport(loaded=(), missing=(), unexpected=names, mismatched={})
    assert str(report).endswith("name4, name5, and 3 more")
    assert all(name in str(report.table()) for name in names)


def test_table_says_what_was_done_where_and_why() -> None:
    report = LoadReport(
        loaded=("net.a", "net.b", "lr"),
        missing=("net.c",),
        unexpected=("old.x",),
        mismatched={"net.d": "shape (1,), expected (2,)"},
        initialized=("net.c", "net.d"),
        renamed={"enc.a": "net.a", "enc.b": "net.b", "enc.z": None, "enc.y": "old.x"},
    )
    rows = [line.split(maxsplit=3) for line in str(report.table()).splitlines()]
    assert rows == [
        ["what", "path", "count", "why"],
        ["mismatched", "net.d", "1", "shape (1,), expected (2,)"],
        ["missing", "net.c", "1"],
        ["unexpected", "old.x", "1"],
        ["initialized", "net.c", "1"],
        ["initialized", "net.d", "1"],
        ["left", "out", "enc.z", "1"],
        ["loaded", "net.a", "1", "was enc.a"],
        ["loaded", "net.b", "1", "was enc.b"],
        ["loaded", "lr", "1"],
    ]


def test_table_folds_a_large_net() -> None:
    renamed: dict[str, str | None] = {f"m.{path}": path for path in WEIGHTS}
    report = LoadReport(
        loaded=WEIGHTS, missing=(), unexpected=(), mismatched={}, renamed=renamed
    )
    (_, row) = str(report.table()).splitlines()
    assert row.split() == ["loaded", "net.*", "40", "was", "m.net.*", "(40)"]


def test_rich_and_notebooks_show_the_table() -> None:
    report = LoadReport(loaded=("lr",), missing=(), unexpected=(), mismatched={})
    console = rich.console.Console(file=io.StringIO(), width=80)
    console.print(report)
    assert "loaded  lr" in console.file.getvalue()  # type: ignore[attr-defined]
    assert "<td" in report._repr_html_()
