"""Tables of runs show what tells the runs apart."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ptutils.core.results.columns import columns_of, labels_of

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def row(**changes: Any) -> dict[str, Any]:
    return {
        "_id": "3f9k2",
        "experiment": "digits",
        "created": datetime(2026, 11, 20, tzinfo=UTC),
        "status": {
            "phase": "completed",
            "origin": "new",
            "progress": {"step": 560, "epoch": 20},
        },
        "summary": {},
        "config": {},
        **changes,
    }


def metric(first: float, last: float) -> dict[str, Any]:
    low, high = sorted((first, last))
    return {"first": first, "last": last, "min": low, "max": high, "max_step": 1}


def shown(rows: list[dict[str, Any]], first: str = "") -> dict[str, list[str]]:
    return {column.title: column.cells for column in columns_of(rows, NOW, first=first)}


def test_run_is_told_by_its_fixed_columns() -> None:
    assert shown([row()]) == {
        "run": ["3f9k2"],
        "experiment": ["digits"],
        "phase": ["completed"],
        "step": ["560"],
        "epoch": ["20"],
        "age": ["1 d"],
    }


def test_run_that_has_not_begun_has_empty_cells() -> None:
    columns = shown([row(status={"phase": "created"}, experiment=None)])

    assert columns["step"] == columns["experiment"] == [""]


def test_origin_is_shown_where_it_differs() -> None:
    branched = row(status={"phase": "lost", "origin": "branched"})

    assert shown([row(), branched])["origin"] == ["new", "branched"]


def test_metric_shows_the_end_it_moves_towards() -> None:
    summary = {"valid": {"loss": metric(2.0, 0.5), "accuracy": metric(0.1, 0.9)}}
    columns = shown([row(summary=summary)])

    assert columns["valid.loss.min"] == ["0.5"]
    assert columns["valid.accuracy.max"] == ["0.9"]


def test_metrics_of_training_come_last() -> None:
    summary = {"train": {"loss": metric(2, 1)}, "valid": {"loss": metric(2, 1)}}
    rows = [row(summary=summary, config={"lr": lr}) for lr in (1, 2)]

    assert list(shown(rows))[-3:] == ["valid.loss.min", "lr", "train.loss.min"]


def test_metric_that_rows_are_sorted_by_comes_first() -> None:
    summary = {"a": metric(2, 1), "train": {"loss": metric(2, 1)}}
    titles = list(shown([row(summary=summary)], first="summary.train.loss.last"))

    assert titles[-3:] == ["train.loss.last", "a.min", "train.loss.min"]


def test_run_without_the_metric_has_an_empty_cell() -> None:
    assert shown([row(), row(summary={"a": metric(2, 1)})])["a.min"] == ["", "1"]


def test_settings_are_shown_where_they_differ() -> None:
    rows = [row(config={"seed": 1, "lr": lr}) for lr in (0.1, 0.01)]
    columns = shown(rows)

    assert columns["lr"] == ["0.1", "0.01"]
    assert "seed" not in columns


def test_settings_go_by_the_shortest_name_that_is_their_own() -> None:
    configs = [{"net": {"lr": n, "width": n}, "head": {"lr": n}} for n in (1, 2)]
    titles = list(shown([row(config=config) for config in configs]))

    assert titles[-3:] == ["net.lr", "width", "head.lr"]


def test_setting_that_is_only_in_some_runs_differs() -> None:
    assert shown([row(), row(config={"seed": 1})])["seed"] == ["", "1"]


def test_settings_that_have_columns_of_their_own_are_not_shown_twice() -> None:
    configs = [{"experiment": name, "dbinterface": name} for name in ("a", "b")]
    rows = [row(config=each, experiment=each["experiment"]) for each in configs]
    columns = columns_of(rows, NOW)

    assert [column.title for column in columns][:2] == ["run", "experiment"]
    assert len(columns) == 6


def test_nets_of_other_layers_are_one_column() -> None:
    linear, flat = {"class": "torch.nn.Linear", "bias": True}, {"class": "Flatten"}
    configs = [{"net": {"args": args}} for args in ([flat, linear], [linear])]

    assert shown([row(config=each) for each in configs])["args"] == [
        "Flatten, Linear",
        "Linear",
    ]


def test_nets_of_the_same_layers_are_told_by_the_setting_of_one() -> None:
    configs = [{"net": [{"class": "Linear", "in": n}]} for n in (1, 2)]

    assert shown([row(config=each) for each in configs])["in"] == ["1", "2"]


def test_other_class_is_told_with_the_settings_that_both_have() -> None:
    adam, sgd = {"class": "Adam", "lr": 1, "eps": 1}, {"class": "SGD", "lr": 2}
    titles = list(shown([row(config={"optimizer": each}) for each in (adam, sgd)]))

    assert titles[-2:] == ["class", "lr"]


def test_object_that_only_some_runs_have_is_told_by_its_class() -> None:
    configs: list[Any] = [{}, {"scheduler": {"class": "torch.Cosine", "steps": 9}}]

    assert shown([row(config=each) for each in configs])["scheduler"] == ["", "Cosine"]


def test_mapping_that_only_some_runs_have_is_told_in_one_line() -> None:
    configs = [{"keep": None}, {"keep": {"last": 2, "best": 1}}]
    columns = shown([row(config=each) for each in configs])

    assert columns["keep"] == ["", "last: 2, best: 1"]


def test_tags_are_shown_where_a_run_has_some() -> None:
    assert shown([row(tags=["good", "seen"]), row()])["tags"] == ["good seen", ""]


def test_archived_runs_are_told_apart() -> None:
    assert shown([row(archived=True), row()])["archived"] == ["archived", ""]


def test_label_is_what_a_run_has_of_its_own() -> None:
    configs = [{"seed": 1, "net": {"lr": lr, "width": 9}} for lr in (0.1, 0.01)]

    assert labels_of([row(config=config) for config in configs]) == [
        "lr=0.1",
        "lr=0.01",
    ]


def test_labels_of_runs_that_look_alike_begin_with_their_ids() -> None:
    rows = [
        row(_id=name, config={"lr": lr})
        for name, lr in [*zip("abc", (1, 1, 2), strict=True)]
    ]

    assert labels_of(rows) == ["a lr=1", "b lr=1", "lr=2"]


def test_label_of_a_run_alone_is_its_id() -> None:
    assert labels_of([row()]) == ["3f9k2"]


def test_summary_that_holds_something_else_has_no_metrics() -> None:
    assert "note" not in shown([row(summary={"note": "x"})])
