from __future__ import annotations

from typing import Any

import pytest
import torch

import ptutils
from ptutils.core import tree
from ptutils.core.building.builder import build
from ptutils.errors import ConfigError, EncodeError
from tests.core.samples import Branch, Echo, Leaf, net


class Holder(ptutils.Module):
    """Hold whatever it is given, as it is."""

    def __init__(self, held: Any = None, other: Any = None) -> None:
        self.held = held
        self.other = other


class Wrapped(dict[str, Any]):
    """A dict of somebody's own."""


def test_objects_with_state_are_children() -> None:
    layer = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters())
    assert all(tree.is_child(v) for v in (Leaf(), layer, optimizer, ptutils.State()))


@pytest.mark.parametrize(
    "value",
    [3, None, "a", torch.zeros(1), ptutils.Config(a=1), torch.nn.Linear, [], {}],
)
def test_other_values_are_no_children(value: object) -> None:
    assert not tree.is_child(value)


def test_children_are_found_in_attributes_lists_tuples_and_dicts() -> None:
    held = {"a": [Leaf(), 3, (Leaf(),)], "b": {"c": Leaf()}, 4: Leaf(), "d": "text"}
    names = [name for name, _ in tree.children(Holder(Leaf(), held))]
    expected = ["held", "other.a.0", "other.a.2.0", "other.b.c", "other.4"]
    assert names == expected


def test_containers_of_other_kinds_are_not_looked_into() -> None:
    assert not tree.holds_child(Wrapped(a=Leaf()))
    assert not tree.holds_child({Leaf()})


@pytest.mark.parametrize(
    ("held", "grow"),
    [
        ({0: Leaf(), 1: Leaf()}, lambda held: held.setdefault(2, Leaf())),
        ([Leaf(), Leaf()], lambda held: held.append(Leaf())),
    ],
)
def test_containers_that_grow_meanwhile_are_looked_into_as_they_were(
    held: Any, grow: Any
) -> None:
    names = []
    for name, _ in tree.children(Holder(held)):
        names.append(name)
        grow(held)
    assert names == ["held.0", "held.1"]


def test_containers_that_hold_themselves_are_looked_into_once() -> None:
    held: list[Any] = [Leaf()]
    held.append({"again": held})
    assert [name for name, _ in tree.children(Holder(held))] == ["held.0"]


def test_tree_is_walked_depth_first_and_once() -> None:
    shared = Leaf()
    root = Branch(Branch(shared), shared, many=[Leaf()], named={"n": net()})  # type: ignore[dict-item]
    paths = [path for path, _ in tree.walk(root)]
    assert paths == ["", "left", "left.left", "many.0", "named.n"]
    assert next(path for path, _ in tree.walk(root, "root")) == "root"
    assert "root.left.left" in dict(tree.walk(root, "root"))


def test_state_is_nested_along_the_tree() -> None:
    root = Branch(Leaf(), net(), many=[Leaf()], named={"a": Leaf()})
    state = root.state_dict()
    assert state["left.state.count"] == 0
    assert state["many.0.state.count"] == 0
    assert state["named.a.state.count"] == 0
    assert set(state["right"]) == {"weight", "bias"}


def test_state_holds_the_tensors_themselves() -> None:
    layer = net()
    weight = Branch(layer).state_dict()["left.weight"]
    assert weight.data_ptr() == layer.weight.data_ptr()


def test_empty_parts_are_left_out_of_the_state() -> None:
    assert Branch(torch.nn.ReLU(), Branch()).state_dict() == {}


def test_shared_child_is_one_object_in_the_state() -> None:
    leaf = Leaf()
    state = dict(Branch(leaf, leaf).state_dict())
    assert state["left"] is state["right"]


def test_state_of_callbacks_is_part_of_the_state() -> None:
    leaf = Leaf()
    leaf.register_callback(Echo())
    assert leaf.state_dict()["callbacks.echo.state.heard"] == 0


def test_callback_without_a_state_is_left_out() -> None:
    class Shout:
        def after_update(self) -> None: ...

    leaf = Leaf()
    leaf.callbacks.register(Shout())
    assert "callbacks" not in leaf.state_dict()


def test_tree_with_a_cycle_has_a_state_and_is_walked() -> None:
    parent, child = Holder(), Holder()
    parent.held, child.held = child, parent
    child.state.depth = 1
    assert [path for path, _ in tree.walk(parent)] == ["", "held"]
    assert parent.state_dict()["held.state.depth"] == 1
    assert parent.load_state_dict(parent.state_dict()).loaded == ("held.state.depth",)
    assert "Holder (shared)" in repr(parent)


@pytest.mark.parametrize(
    "held",
    [
        {1: Leaf(), "1": Leaf()},
        {"a": Leaf(), "a.b": Leaf()},
        {"a.b": Leaf(), "a": Leaf()},
        {"a": [Leaf()], "a.0": Leaf()},
    ],
)
def test_children_whose_paths_meet_are_refused(held: dict[Any, Any]) -> None:
    with pytest.raises(EncodeError, match="cannot save two children under one path"):
        Holder(held).state_dict()


def test_paths_that_only_begin_alike_are_fine() -> None:
    state = Holder({"a": Leaf(), "ab": Leaf(), "c.d": Leaf()}).state_dict()
    assert state["held.c.d.state.count"] == 0


def test_config_describes_children_with_what_built_them() -> None:
    expected = {
        "class": "tests/Branch",
        "left": {"class": "tests/Leaf", "width": 3},
        "right": {"class": "torch.nn.Linear", "in_features": 2, "out_features": 1},
        "many": [{"class": "tests/Leaf"}],
    }
    assert Branch(Leaf(3), net(), many=[Leaf()]).config == expected


def test_shared_child_is_described_once() -> None:
    leaf = Leaf()
    config = Branch(leaf, [leaf], named={"a": leaf}).config
    assert config["right"] == [{"ref": "left"}]
    assert config["named"] == {"a": {"ref": "left"}}


def test_what_was_built_by_hand_is_opaque() -> None:
    config = Branch(torch.nn.Linear(1, 1), len).config
    assert config["left"] == {
        "class": "torch.nn.modules.linear.Linear",
        "opaque": True,
    }
    assert config["right"] == {"class": "builtins.len", "opaque": True}


def test_opaque_object_in_two_places_is_described_once() -> None:
    layer = torch.nn.Linear(1, 1)
    assert Branch(layer, layer).config["right"] == {"ref": "left"}


def test_values_that_can_be_stored_are_part_of_the_config() -> None:
    weight = torch.ones(2)
    config = Branch(weight, {"a": (1, None, 2.5, b"x")}).config
    assert config["left"] is weight
    assert config["right"] == {"a": (1, None, 2.5, b"x")}


def test_config_as_an_argument_is_described_as_a_dict() -> None:
    assert Branch(ptutils.Config(a={"b": 1})).config["left"] == {"a": {"b": 1}}


def test_container_that_holds_itself_has_no_config() -> None:
    held: list[Any] = []
    held.append(held)
    with pytest.raises(ConfigError, match="a container that contains itself"):
        _ = Holder(held).config


def test_one_container_in_two_places_is_described_twice() -> None:
    held = [1]
    assert Branch(held, held).config["right"] == [1]


def test_replaced_child_changes_the_config() -> None:
    root = Branch(Leaf(1))
    root.left = Leaf(2)
    assert root.config["left"] == {"class": "tests/Leaf", "width": 2}


def test_replaced_child_of_a_child_changes_the_config() -> None:
    root = Branch(Branch(net(2)))
    root.left.left = net(3)
    assert root.config["left.left.in_features"] == 3


def test_child_that_takes_the_place_of_none_changes_the_config() -> None:
    root = Branch()
    root.left = Leaf(2)
    assert root.config["left"] == {"class": "tests/Leaf", "width": 2}


def test_child_that_gives_place_to_none_leaves_the_config() -> None:
    root = Branch(Leaf(2))
    root.left = None
    assert root.config["left"] is None


def test_deleted_child_leaves_the_config() -> None:
    root = Branch(Leaf(2))
    del root.left
    assert "left" not in root.config


def test_child_that_is_no_argument_is_not_in_the_config() -> None:
    root = Branch()
    root.extra = Leaf()
    root.extra = Leaf(2)
    assert root.config == {"class": "tests/Branch"}


def test_list_of_children_is_described_as_it_is_now() -> None:
    root = Branch(many=[Leaf(1)], named={"a": Leaf()})
    root.many.append(Leaf(2))  # type: ignore[union-attr]
    root.named.clear()  # type: ignore[union-attr]
    assert [leaf["width"] for leaf in root.config["many"]] == [1, 2]
    assert root.config["named"] == {}


def test_list_that_was_emptied_of_its_children_is_empty_in_the_config() -> None:
    root = Branch(many=[Leaf(1)])
    root.many.clear()  # type: ignore[union-attr]
    assert root.config["many"] == []


def test_attribute_that_is_no_child_changes_no_config() -> None:
    leaf = Leaf(1)
    leaf.width = 5
    assert leaf.config["width"] == 1


class Listener(ptutils.Module):
    def __init__(self, callbacks: list[ptutils.Callback] | None = None) -> None:
        for callback in callbacks or ():
            self.callbacks.register(callback)


def test_callbacks_that_are_an_argument_are_described_as_registered() -> None:
    listener = Listener([Echo("a")])
    listener.register_callback(Echo("b"))
    assert [echo["word"] for echo in listener.config["callbacks"]] == ["a", "b"]


def test_callbacks_that_were_never_given_are_not_in_the_config() -> None:
    listener = Listener()
    assert len(listener.callbacks) == 0
    assert "callbacks" not in listener.config


def test_callbacks_that_were_all_unregistered_leave_the_config() -> None:
    echo = Echo()
    listener = Listener([echo])
    listener.callbacks.unregister(echo)
    assert "callbacks" not in listener.config


def test_empty_list_of_callbacks_is_as_good_as_none() -> None:
    assert Listener([]).config == Listener().config


def test_late_object_is_described_by_its_settings() -> None:
    late = build(torch.optim.SGD, lr=0.5)
    assert Branch(late).config["left"] == {"class": "torch.optim.SGD", "lr": 0.5}


DRAWING = """\
Branch()
├── left: Leaf(width=3, name='root')
├── right: Linear(in_features=2, out_features=1, bias=True)
├── many.0: Branch()
│   └── left: Leaf (shared)
└── named.a: Sequential"""


def test_tree_is_drawn_for_a_person() -> None:
    leaf = Leaf(3, name="root")
    layers = torch.nn.Sequential(torch.nn.ReLU())
    root = Branch(leaf, net(), many=[Branch(leaf)], named={"a": layers})  # type: ignore[list-item, dict-item]
    assert repr(root) == DRAWING
