"""What was found is shown as a table, a DataFrame, curves and a page."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from matplotlib import pyplot

from ptutils.core.records.runs import Found
from ptutils.db.memory import MemoryInterface
from ptutils.errors import ConfigError, MissingNameError
from tests.core.stored import ENCODED, FIELDS, Writer

SCRIPT = "<script>alert(1)</script>"


def stored(db: MemoryInterface, experiment: str = "test", **config: Any) -> Writer:
    writer = Writer(db)
    fields = {**FIELDS, "experiment": experiment}
    writer.recorder.create(fields, {**ENCODED, "config": config})
    return writer


@pytest.fixture
def found() -> Found:
    """Two runs that differ in their learning rate, one with metrics."""
    db = MemoryInterface()
    first = stored(db, lr=0.1, seed=3)
    for step in (1, 2, 3, 4):
        first.history.append(step, step // 3, {"loss": 1 / step, "$acc": step})
    first.save(4)
    stored(db, lr=0.01, seed=3)
    return db.runs.find(sort=[("created", 1)])


@pytest.fixture(autouse=True)
def _figures() -> Iterator[None]:
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


def test_table_shows_what_tells_the_runs_apart(found: Found) -> None:
    titles = [column.title for column in found.table().columns]

    assert titles[-4:] == ["$acc.max", "loss.min", "lr", "tags"]
    assert str(found.table()).count("\n") == 2


def test_frame_has_a_row_per_run(found: Found) -> None:
    frame = found.to_pandas()

    assert list(frame.index) == [run.id for run in found]
    assert list(frame["config.lr"]) == [0.1, 0.01]
    assert list(frame["tags"]) == [["good"], ["good"]]
    assert frame["summary.loss.min"].iloc[0] == 0.25
    assert math.isnan(frame["summary.loss.min"].iloc[1])
    assert "config.seed" not in frame


def test_frame_of_no_runs_has_its_columns() -> None:
    frame = Found([]).to_pandas()

    assert len(frame) == 0
    assert list(frame) == ["experiment", "phase", "step", "epoch", "created", "tags"]


@pytest.mark.parametrize(
    ("package", "verb"),
    [("pandas", lambda found: found.to_pandas()), ("matplotlib", Found.plot)],
)
def test_package_that_is_missing_is_named(
    found: Found, package: str, verb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["loss"] if package == "matplotlib" else []
    for name in (package, "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(ConfigError, match=rf"{package} is not installed\n.*\[plots\]"):
        verb(found, *arguments)


def test_plot_has_a_line_per_run_that_has_the_metric(found: Found) -> None:
    axes = found.plot("loss")
    (line,) = axes.lines

    assert line.get_label() == "lr=0.1"
    assert list(line.get_xdata()) == [1, 2, 3, 4]
    assert line.get_ydata()[3] == 0.25
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "loss")


def test_plot_over_epochs_draws_the_mean_of_each(found: Found) -> None:
    (line,) = found.plot("$acc", x="epoch").lines

    assert list(line.get_xdata()) == [0, 1]
    assert list(line.get_ydata()) == [1.5, 3.5]


def test_metrics_of_one_run_share_its_colour(found: Found) -> None:
    one, other = found.plot("loss", "$acc").lines

    assert one.get_color() == other.get_color()
    assert one.get_linestyle() != other.get_linestyle()
    assert other.get_label() == r"\$acc lr=0.1"


@pytest.mark.parametrize("text", ["a=$\\frac{$", "_hidden=b"])
def test_texts_of_runs_are_shown_as_they_are(text: str) -> None:
    db = MemoryInterface()
    name, _, value = text.partition("=")
    for each in (value, 1):
        writer = stored(db, **{name: each})
        writer.record(1)
        writer.save(1)
    axes = db.runs.find(sort=[("created", 1)]).plot("loss")
    axes.figure.canvas.draw()
    shown = axes.get_legend().get_texts()[0].get_text()

    assert shown.strip().replace(r"\$", "$") == text


def test_other_run_stands_beside_the_one(found: Found) -> None:
    one, other = found
    difference = one.diff(other)

    titles, *rows = difference.table().rows
    assert titles == ("path", one.id, other.id)
    assert ("config.lr", "0.1", "0.01") in rows
    assert ("summary.loss.min", "0.25", "") in rows
    assert ("summary.loss.min", "", "0.25") in other.diff(one).table().rows
    assert difference._repr_html_() == difference.table()._repr_html_()


def test_plot_of_a_metric_that_no_run_has_names_the_nearest(found: Found) -> None:
    with pytest.raises(MissingNameError, match="did you mean 'loss'"):
        found.plot("los")


def test_plot_of_no_runs_says_that_there_is_nothing() -> None:
    with pytest.raises(MissingNameError, match="there is nothing to plot"):
        Found([]).plot("loss")


def test_plot_over_something_else_is_refused(found: Found) -> None:
    with pytest.raises(ConfigError, match="expected: 'step' or 'epoch'"):
        found.plot("loss", x="time")


def test_notebook_shows_the_table(found: Found) -> None:
    assert found._repr_html_() == found.table()._repr_html_()


def test_notebook_shows_the_first_hundred_of_many_runs(found: Found) -> None:
    many = Found([found[0]] * 103)

    assert many._repr_html_().count("<tr>") == 101
    assert many._repr_html_().endswith("<p>and 3 more</p>")


def test_notebook_shows_a_run_and_obeys_nothing_in_it() -> None:
    db = MemoryInterface()
    stored(db, experiment=SCRIPT, note=SCRIPT)
    shown = db.runs.find()[0]._repr_html_()

    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 2
