"""Of a State that is read when it is touched, only what is asked for is read."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ptutils.core.restoring.glancing import unread_leaves, whole
from ptutils.errors import StateMismatchError
from ptutils.meta.state import State
from ptutils.meta.unread import Unread
from tests.core.samples import Branch, Leaf, net
from tests.meta.test_lazy import Artifacts, num_unread, opened


def tree() -> Branch:
    layer = net()
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    leaf = Leaf()
    leaf.state.extra = {"deep": torch.full((3,), 2.0)}
    return Branch(layer, optimizer, many=[leaf])


def stored(module: Branch) -> tuple[State, Artifacts]:
    return opened(module.state_dict())


@pytest.mark.parametrize("rename", [None, {"": ""}, lambda path: path])
def test_whole_state_is_loaded_as_if_it_had_been_read(rename: Any) -> None:
    old, new = tree(), tree()
    lazy, _ = stored(old)
    new.many[0].state.extra = None
    new.load_state_dict(lazy, rename=rename)
    assert torch.equal(new.left.weight, old.left.weight)
    assert type(dict.__getitem__(new.many[0].state.extra, "deep")) is not Unread
    assert new.many[0].state.extra.deep.tolist() == [2.0, 2.0, 2.0]
    new.right.step()


@pytest.mark.parametrize("rename", [None, {"left": "left"}])
@pytest.mark.parametrize("select", ["left.weight", lambda path: path == "left.weight"])
def test_what_is_not_selected_is_not_read(select: Any, rename: Any) -> None:
    lazy, artifacts = stored(tree())
    report = tree().load_state_dict(lazy, select=select, rename=rename)
    assert report.loaded == ("left.weight",)
    assert len(artifacts.read) == 1


def test_what_is_unexpected_is_not_read() -> None:
    lazy, artifacts = stored(tree())
    report = Branch(many=[Leaf()]).load_state_dict(
        lazy, strict=False, select=lambda path: not path.endswith("extra")
    )
    assert "left.weight" in report.unexpected
    assert len(report.unexpected) == 4
    assert artifacts.read == []


def test_what_is_unread_may_be_no_mapping() -> None:
    lazy, _ = opened({"left": torch.ones(2), "many": torch.ones(2)})
    with pytest.raises(StateMismatchError, match="left: a Tensor, expected") as refused:
        Branch(net(), many=[Leaf()]).load_state_dict(lazy)
    assert "unexpected many" in refused.value.got


def test_leaves_of_a_cycle_end() -> None:
    state: Any = {"a": 1}
    state["self"] = state
    assert [keys for keys, _ in unread_leaves(state)] == [("a",), ("self",)]
    assert whole(state) is state


def test_empty_parts_are_no_leaves_of_what_is_unexpected() -> None:
    assert (
        Branch(Leaf())
        .load_state_dict({"left": {"state": {"count": 1}}, "right": {}})
        .loaded
    )


def test_whole_value_has_nothing_unread_inside() -> None:
    lazy, _ = stored(tree())
    assert num_unread(lazy) > 0
    assert num_unread(whole(lazy)) == 0
