"""What became of each leaf between two nested values."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from ptutils.errors import EncodeError
from ptutils.meta.codec import decode, encode
from ptutils.meta.differences import Change, Kind, changes
from ptutils.meta.state import State
from ptutils.testing.values import trees

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support")


def kinds(ours: Any, theirs: Any) -> dict[str, str]:
    return {change.path: str(change.kind) for change in changes(ours, theirs)}


def only(ours: Any, theirs: Any) -> Change:
    (change,) = changes({"a": ours}, {"a": theirs})
    return change


@given(tree=trees)
@settings(deadline=None)
def test_a_copy_has_equal_leaves_alone(tree: object) -> None:
    state = State(value=tree)
    assert set(kinds(state, decode(encode(state))).values()) <= {"equal"}


def test_leaves_are_told_by_their_paths() -> None:
    ours = State(a={"b": [1, 2], "gone": 0}, x=torch.ones(2), y=torch.ones(2), z=1)
    theirs = State(a={"b": [1, 3, 4]}, x=torch.ones(3), y=torch.zeros(2), z=True)
    assert kinds(ours, theirs) == {
        "a.b.0": "equal",
        "a.b.1": "changed",
        "a.b.2": "only theirs",
        "a.gone": "only ours",
        "x": "shape",
        "y": "changed",
        "z": "type",
    }


def test_a_container_on_one_side_is_told_leaf_by_leaf() -> None:
    assert kinds({"a": {"b": 1, "c": []}}, {}) == {
        "a.b": "only ours",
        "a.c": "only ours",
    }
    assert kinds({"a": {}}, {"a": {"b": 1}}) == {"a.b": "only theirs"}


def test_a_container_of_another_type_is_a_change_beside_its_leaves() -> None:
    assert kinds({"a": (1, 2)}, {"a": [1, 2]}) == {
        "a": "type",
        "a.0": "equal",
        "a.1": "equal",
    }
    found = only({"b": 1}, [1])
    assert (found.kind, found.ours, found.theirs) == (Kind.TYPE, "dict", "list")
    ordered = kinds({"a": OrderedDict(b=1)}, {"a": {"b": 1}})
    assert ordered == {"a": "type", "a.b": "equal"}


def test_a_key_with_dots_is_a_key() -> None:
    found = list(changes(State({"a.b": 1}), State({"a": {"b": 1}})))
    assert [(c.path, str(c.kind)) for c in found] == [
        ("a.b", "only ours"),
        ("a.b", "only theirs"),
    ]


def test_a_container_inside_itself_is_a_leaf() -> None:
    ours: dict[str, Any] = {"a": 1}
    ours["self"] = ours
    assert kinds(ours, ours) == {"a": "equal", "self": "equal"}


@pytest.mark.parametrize(
    ("ours", "theirs", "kind"),
    [
        (math.nan, math.nan, Kind.EQUAL),
        (0.0, -0.0, Kind.CHANGED),
        ("a", "b", Kind.CHANGED),
        ({1, 2}, {2, 1}, Kind.EQUAL),
        (1, 1.0, Kind.TYPE),
        (None, 1, Kind.TYPE),
        (torch.ones(1), np.ones(1, dtype=np.float32), Kind.TYPE),
        (torch.ones(1), torch.ones(1, requires_grad=True), Kind.TYPE),
        (torch.ones(1), torch.nn.Parameter(torch.ones(1)), Kind.TYPE),
        (torch.ones(2), torch.ones(2).bfloat16(), Kind.TYPE),
        (torch.ones(1), 1.0, Kind.TYPE),
        (torch.eye(2).to_sparse(), torch.eye(2).to_sparse(), Kind.EQUAL),
        (torch.eye(2).to_sparse(), 2 * torch.eye(2).to_sparse(), Kind.CHANGED),
        (torch.ones(2, device="meta"), torch.ones(3, device="meta"), Kind.CHANGED),
        (np.float32(1), np.float32(2), Kind.CHANGED),
        (np.str_("a"), np.str_("a"), Kind.EQUAL),
        (np.bytes_(b"a"), np.bytes_(b"b"), Kind.CHANGED),
        (torch.arange(9.0)[::2], torch.arange(0.0, 9.0, 2.0), Kind.EQUAL),
    ],
)
def test_a_leaf_is_equal_by_bits_and_type(ours: Any, theirs: Any, kind: Kind) -> None:
    assert only(ours, theirs).kind is kind


def test_numbers_and_tensors_say_how_far_they_lie_apart() -> None:
    assert only(3, 5).distance.max_abs == 2.0
    assert only(1j, 2j).distance.max_abs == 1.0
    assert only(torch.ones(2), torch.ones(2).half() * 2).distance.max_abs == 1.0
    assert only(torch.ones(2), torch.ones(2)).distance is None
    assert only("a", "b").distance is None
    assert only(2**60, 2**60 + 1).distance.num_changed == 1
    assert only(10**400, 10**400 + 1).distance is None


def test_leaves_are_described_in_one_short_line() -> None:
    assert only("x\ny" * 90, 3).ours.startswith("str 'x\\nyx")
    assert len(only("x" * 90, "y").ours) == 60
    device = torch.ones(2, 3, device="meta", requires_grad=True)
    assert only(device, 1).ours == "Tensor float32[2, 3] with gradient on meta"
    assert only(np.zeros(3), np.zeros(4)).theirs == "ndarray float64[4]"


def test_what_cannot_be_stored_is_refused_with_its_path() -> None:
    found = changes({"a": {"b": object()}}, {"a": {"b": object()}})
    with pytest.raises(EncodeError, match=r"at 'a\.b'"):
        list(found)


@pytest.mark.parametrize("dtype", [torch.int1, torch.uint4])
def test_dtypes_that_torch_cannot_copy_are_compared(dtype: torch.dtype) -> None:
    bits = torch.tensor([0, 1, 1], dtype=torch.uint8).view(dtype)
    assert kinds({"a": bits}, {"a": bits}) == {"a": "equal"}
