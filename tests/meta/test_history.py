"""History keeps every point once, in order and by type, and appends for nothing."""

from __future__ import annotations

import math
import sys
import threading
from array import array
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptutils.errors import (
    ConfigError,
    EncodeError,
    MissingNameError,
    StateMismatchError,
)
from ptutils.meta.history import Chunk, Column, History, Point

_VALUES = st.floats() | st.integers() | st.booleans()
_COLUMNS = st.one_of(
    st.lists(values, max_size=8)
    for values in (st.floats(), st.integers(-(2**63), 2**63 - 1), _VALUES)
)
_PATHS = ["train.loss", "valid.loss", "lr"]
_TABLES = st.dictionaries(st.sampled_from(_PATHS), _COLUMNS)


def _of(**metrics: list[Any]) -> History:
    """Return a history; ``train_loss=[...]`` records ``train.loss`` at steps 1, 2, …"""
    return _from({name.replace("_", "."): values for name, values in metrics.items()})


def _from(table: dict[str, list[Any]]) -> History:
    history = History()
    for path, values in table.items():
        for step, value in enumerate(values, start=1):
            history.record(step, step // 10, path, value)
    return history


def _column(values: list[Any]) -> Column:
    steps = range(1, len(values) + 1)
    return Column(list(steps), [step // 10 for step in steps], values)


# Appending and reading


@given(_TABLES)
def test_points_come_back_in_order_and_of_the_same_type(
    table: dict[str, list[Any]],
) -> None:
    history = _from(table)
    assert history.paths() == [path for path, values in table.items() if values]
    for path in history:
        assert history[path] == _column(table[path])


def test_appending_takes_several_metrics_at_once() -> None:
    history = History()
    history.append(3, 1, {"a": 0.5, "b": 2})
    history(4, 1, {"a": 0.25})
    assert list(history["a"]) == [Point(3, 1, 0.5), Point(4, 1, 0.25)]
    assert list(history["b"]) == [Point(3, 1, 2)]


@pytest.mark.parametrize("name", ["append", "record"])
def test_appending_costs_two_calls(name: str) -> None:
    history = History()
    calls: list[str] = []
    arguments = (1, 0, {"a": 1.0}) if name == "append" else (1, 0, "a", 1.0)
    method = getattr(history, name)
    sys.setprofile(lambda frame, event, value: calls.append(event))
    method(*arguments)
    sys.setprofile(None)
    assert calls.count("call") == 1
    assert calls.count("c_call") == 2  # list.append, and the end of profiling


def test_tensors_and_arrays_are_read_as_their_numbers() -> None:
    values = [torch.tensor(0.5), np.float32(1.5), torch.tensor(3), torch.tensor(True)]
    assert repr(list(_of(x=values)["x"].values)) == "[0.5, 1.5, 3, True]"


def test_floats_and_ints_are_packed_and_mixtures_are_not() -> None:
    history = _of(f=[0.5, math.nan], i=[1, 2], m=[1, 0.5], b=[True], big=[2**63])
    kinds = [type(history[path].values) for path in history]
    assert kinds == [array, array, list, list, list]


def test_packed_column_unpacks_when_another_type_comes() -> None:
    history = _of(x=[0.5])
    for value in (0.25, 1, True):
        assert history.paths() == ["x"]
        history.record(2, 0, "x", value)
    assert repr(history["x"].values) == "[0.5, 0.25, 1, True]"


def test_column_is_a_copy_that_stays_as_it_is() -> None:
    history = _of(x=[0.5])
    column = history["x"]
    memory = memoryview(column.values)  # type: ignore[arg-type]
    history.record(2, 0, "x", 0.25)
    assert len(history["x"]) == 2
    assert len(memory) == 1


def test_column_is_sliced_by_position() -> None:
    column = _of(x=[0.5, 0.25, 0.75])["x"]
    assert column[1:] == Column([2, 3], [0, 0], [0.25, 0.75])
    assert (column.first, column.last) == (Point(1, 0, 0.5), Point(3, 0, 0.75))


@pytest.mark.parametrize("other", [[1.0], [True], [-0.0], [1, 1]])
def test_columns_of_other_types_or_bits_differ(other: list[Any]) -> None:
    assert _column([1]) != _column(other)
    assert _column([0.0]) != _column(other)
    assert _column([1]) != "column"


# The newest and the best


def test_last_needs_no_reading_of_the_others() -> None:
    history = _of(x=[torch.zeros(2), 0.5], y=[1])
    assert history.last("x") == Point(2, 0, 0.5)


def test_last_is_found_among_what_was_read() -> None:
    history = _of(x=[0.5], y=[1.0])
    assert history["x"].last == history.last("x") == Point(1, 0, 0.5)


def test_best_is_the_first_of_the_least_or_greatest() -> None:
    history = _of(x=[0.5, math.nan, 0.25, 0.75, 0.25, 0.75])
    assert history.best("x", mode="min") == Point(3, 0, 0.25)
    assert history.best("x", mode="max") == Point(4, 0, 0.75)
    assert history["x"][4:].best("min") == Point(5, 0, 0.25)


def test_best_of_nothing_but_nan_is_nan_until_a_number_comes() -> None:
    history = _of(x=[math.nan, math.nan])
    assert math.isnan(history.best("x", mode="min").value)
    history.record(3, 0, "x", math.inf)
    assert history.best("x", mode="min").step == 3
    assert history.best("x", mode="max").step == 3


@given(st.lists(st.lists(st.floats(), max_size=4), max_size=4))
def test_best_does_not_depend_on_when_it_was_read(parts: list[list[float]]) -> None:
    history, values = History(), [value for part in parts for value in part]
    for part in parts:
        for value in part:
            history.record(1, 0, "x", value)
        history.take()
    if values:
        numbers = [value for value in values if not math.isnan(value)] or values[:1]
        best = [history.best("x", mode=mode).value for mode in ("min", "max")]
        assert repr(best) == repr([min(numbers), max(numbers)])


def test_unknown_mode_is_refused() -> None:
    history = _of(x=[0.5])
    with pytest.raises(ConfigError, match="'min' or 'max'"):
        history.best("x", mode="low")


@pytest.mark.parametrize(
    ("path", "hint"),
    [("train.los", "mean 'train.loss'"), ("loss", "mean 'train.loss'"), ("x", "$")],
)
def test_missing_metric_raises_with_the_nearest(path: str, hint: str) -> None:
    history = _of(train_loss=[0.5])
    with pytest.raises(MissingNameError, match=f"no such metric(?s:.*){hint}"):
        history[path]


def test_empty_history_says_so() -> None:
    with pytest.raises(MissingNameError, match="nothing, it is empty"):
        History().last("x")


def test_in_tells_which_metrics_there_are() -> None:
    history = _of(x=[0.5])
    assert "x" in history
    assert "y" not in history


# Summary


def test_summary_nests_along_paths_and_names_each_number() -> None:
    history = _of(valid_accuracy=[0.5, 0.9, math.nan, 0.7], lr=[1])
    accuracy = history.summary()["valid"]["accuracy"]
    assert accuracy == {
        "first": 0.5,
        "last": 0.7,
        "min": 0.5,
        "max": 0.9,
        "first_step": 1,
        "last_step": 4,
        "min_step": 1,
        "max_step": 2,
    }
    assert history.summary()["lr"]["max"] == 1


# What cannot be kept


@pytest.mark.parametrize("value", [torch.zeros(2), "high", None, 1j, np.zeros(2)])
def test_value_that_is_no_number_is_refused_and_the_others_stay(value: Any) -> None:
    history = _of(x=[0.5, value, 0.75], y=[1])
    with pytest.raises(EncodeError, match="read one number from this value at 'x'"):
        history.paths()
    assert list(history["x"].values) == [0.5, 0.75]
    assert list(history["y"].values) == [1]


@pytest.mark.parametrize("paths", [("valid", "valid.loss"), ("valid.loss", "valid")])
def test_metric_below_another_is_refused_and_the_others_stay(
    paths: tuple[str, str],
) -> None:
    history = _from({paths[0]: [1], paths[1]: [2], "valid2": [3]})
    with pytest.raises(EncodeError, match=r"below another at 'valid\.loss'"):
        history.take()
    assert history.paths() == [paths[0], "valid2"]


@pytest.mark.parametrize("path", ["", "a..b", ".a", 3, "a\ud800", "a\0"])
def test_metric_without_a_proper_name_is_refused(path: Any) -> None:
    history = _from({path: [1]})
    with pytest.raises(EncodeError, match="cannot record a metric by this name"):
        history.paths()


@pytest.mark.parametrize("step", [0.5, "1", 2**63])
def test_step_that_is_no_counter_is_refused(step: Any) -> None:
    history = History()
    history.record(step, 0, "x", 1.0)
    with pytest.raises(EncodeError, match="steps and epochs that are 64-bit ints"):
        history.paths()


# Handing over


@given(st.lists(_TABLES, max_size=4))
def test_taken_parts_add_up_to_the_whole(tables: list[dict[str, list[Any]]]) -> None:
    history, stored = History(), History()
    for table in tables:
        for path, values in table.items():
            for step, value in enumerate(values):
                history.record(step, 0, path, value)
        for path, chunk in history.take().items():
            stored.extend(path, chunk)
    assert history.take() == stored.take() == {}
    assert stored.paths() == history.paths()
    assert all(stored[path] == history[path] for path in history)


def test_resumed_history_continues_the_stored_points() -> None:
    whole, resumed = _of(x=[0.5, 0.25]), History()
    resumed.extend("x", Chunk([1], [0], [0.5]))
    resumed.record(2, 0, "x", 0.25)
    assert resumed["x"] == whole["x"]
    assert resumed.summary() == whole.summary()
    assert resumed.take() == {"x": Column([2], [0], [0.25])}


def test_extending_by_nothing_adds_no_metric() -> None:
    history = _of(y=[1.0])
    history.take()
    history.extend("x", Chunk([], [], []))
    history.extend("y", Chunk([], [], []))
    assert history.paths() == ["y"]


def test_stored_points_after_new_ones_are_refused() -> None:
    history = _of(x=[0.5])
    with pytest.raises(StateMismatchError, match="stored points after new ones at 'x'"):
        history.extend("x", Chunk([2], [0], [0.25]))


def test_chunk_of_uneven_lengths_is_refused() -> None:
    history = History()
    with pytest.raises(EncodeError, match="1, 1 and 2"):
        history.extend("x", Chunk([1], [0], [0.5, 0.25]))


def test_another_thread_takes_every_point_once() -> None:
    history, count, done = History(), 20_000, threading.Event()
    taken: list[Chunk] = []

    def write() -> None:
        while not done.is_set():
            taken.extend(history.take().values())

    writer = threading.Thread(target=write)
    writer.start()
    for step in range(count):
        history.record(step, 0, "x", 0.5)
    done.set()
    writer.join()
    taken.extend(history.take().values())
    assert [step for chunk in taken for step in chunk.steps] == list(range(count))


# Documents, tables, pictures


@given(_TABLES)
def test_state_loads_into_an_equal_history(table: dict[str, list[Any]]) -> None:
    history, loaded = _from(table), _of(z=[1])
    loaded.load_state_dict(history.state_dict())
    assert loaded.paths() == history.paths()
    assert all(loaded[path] == history[path] for path in history)
    assert loaded.take() == {}


@pytest.mark.parametrize(
    "state", [None, {}, {"columns": [{"path": "x"}]}, {"columns": [3]}]
)
def test_state_that_is_no_history_is_refused_and_changes_nothing(state: Any) -> None:
    history = _of(x=[0.5])
    with pytest.raises(StateMismatchError, match="cannot load a history"):
        history.load_state_dict(state)
    assert len(history["x"]) == 1


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_history_saved_to_a_file_loads_equal(tmp_path: Any, suffix: str) -> None:
    history = _of(train_loss=[0.5, math.nan, -0.0, 1e300], n=[1, 2**70, True])
    path = history.save(tmp_path / f"history{suffix}")
    loaded = History.load(path)
    assert all(loaded[path] == history[path] for path in history)


def test_table_has_a_row_per_step_and_a_column_per_metric() -> None:
    history = _of(x=[0.5, 0.25])
    history.record(2, 0, "y", 3)
    history.record(2, 0, "y", 4)
    table = history.to_pandas()
    assert list(table.index) == [1, 2, 2]
    assert list(table.columns) == ["epoch", "x", "y"]
    assert list(table["x"][:2]) == [0.5, 0.25]
    assert list(table["y"][1:]) == [3, 4]


def test_empty_history_gives_an_empty_table() -> None:
    assert History().to_pandas().empty


def test_plot_draws_one_line_per_metric() -> None:
    history = _of(x=[0.5, 0.25], y=[1, 2])
    (axes,) = history.plot().axes
    assert [line.get_label() for line in axes.lines] == ["x", "y"]
    assert [len(history.plot("y").axes[0].lines)] == [1]


@pytest.mark.parametrize("name", ["pandas", "matplotlib.figure"])
def test_without_the_library_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    show = _of(x=[0.5]).to_pandas if name == "pandas" else _of(x=[0.5]).plot
    with pytest.raises(ConfigError, match=r"pip install 'ptutils\[plots\]'"):
        show()


def test_history_names_its_metrics() -> None:
    history = History()
    history.record(1, 0, "train.loss", 0.5)
    assert repr(history) == "History(train.loss)"
