"""Dotted paths reach through dicts, lists, and keys that hold dots themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptutils.meta.paths import assign, explain, lookup, place, trail

_NAMES = st.text(alphabet="ab.0", max_size=3)
_TREES = st.recursive(
    st.integers(),
    lambda inner: (
        st.dictionaries(_NAMES | st.integers(0, 1), inner, min_size=1)
        | st.lists(inner, min_size=1)
        | st.lists(inner, min_size=1).map(tuple)
    ),
    max_leaves=10,
)


def _get(root: Any, path: str) -> Any:
    found = trail(root, path)
    return None if found is None else lookup(found)


def _paths(value: Any, path: tuple[str, ...] = ()) -> list[str]:
    if isinstance(value, dict):
        inner = [_paths(item, (*path, str(key))) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        inner = [_paths(item, (*path, str(i))) for i, item in enumerate(value)]
    else:
        inner = []
    return [".".join(path), *(deeper for paths in inner for deeper in paths)]


@given(_TREES)
def test_every_path_of_a_tree_leads_somewhere(tree: Any) -> None:
    assert all(trail(tree, path) is not None for path in _paths(tree)[1:])


@given(_TREES, st.data())
def test_what_is_assigned_at_a_path_is_found_there(
    tree: Any, data: st.DataObject
) -> None:
    root = {"root": tree}
    path = data.draw(st.sampled_from(_paths(root)[1:]))
    found = trail(root, path)
    assert found is not None
    assign(found, "new")
    assert _get(root, path) == "new"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("net.0.weight", 1),
        ("args.1.lr", 3),
        ("pair.0", 5),
        ("state.0", 6),
        ("a.b", 7),
        ("a.c", 9),
    ],
)
def test_path_reaches_through_what_there_is(path: str, value: int) -> None:
    root = {
        "net": {"0.weight": 1},
        "args": [2, {"lr": 3}],
        "pair": (5,),
        "state": {0: 6, "1": 4},
        "a.b": 7,
        "a": {"b": 8, "c": 9},
    }
    assert _get(root, path) == value


@pytest.mark.parametrize("path", ["b", "a.2", "a.-1", "a.x", "a.0.0", "a.", "", "a.²"])
def test_path_that_leads_nowhere_has_no_trail(path: str) -> None:
    assert trail({"a": [1, 2]}, path) is None


def test_key_that_only_reads_like_the_path_is_tried_after_the_string() -> None:
    root = {"0": 1, 0: {"x": 2}}
    assert (_get(root, "0"), _get(root, "0.x")) == (1, 2)


def test_tuple_on_the_way_is_made_anew() -> None:
    before = (1, {"x": (2, 3)})
    root = {"pair": before}
    found = trail(root, "pair.1.x.0")
    assert found is not None
    assign(found, 7)
    assert root == {"pair": (1, {"x": (7, 3)})}


@pytest.mark.parametrize(
    ("path", "can"), [("a.new", True), ("new", True), ("b.new", False), ("n.x", False)]
)
def test_only_the_last_name_may_be_new_and_only_in_a_dict(path: str, can: bool) -> None:
    assert (place({"a": {}, "b": [1]}, path) is not None) is can


@pytest.mark.parametrize(
    ("path", "expected", "fix"),
    [
        ("optimzer.lr", "at the top one of: optimizer, empty", "mean 'optimizer'"),
        ("optimizer.lrr", "below 'optimizer' one of: lr, betas", "'optimizer.lr'"),
        ("optimizer.betas.7", "below 'optimizer.betas' one of: 0, 1", ""),
        ("optimizer.lr.x", "'optimizer.lr' to be a dict or list; it is float", ""),
        ("empty.x", "below 'empty' one of: nothing, it is empty", ""),
    ],
)
def test_what_is_missing_is_explained(path: str, expected: str, fix: str) -> None:
    root = {"optimizer": {"lr": 0.1, "betas": (0.9, 0.99)}, "empty": {}}
    explained = explain(root, path)
    assert expected in explained["expected"]
    assert fix in explained["fix"]
    assert bool(fix) is bool(explained["fix"])
