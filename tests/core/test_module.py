from __future__ import annotations

import copy
import pickle

import pytest
import torch

import ptutils
from ptutils.core.building.builder import build
from ptutils.errors import CallbackError, ConfigError, DataError
from tests.core.samples import Branch, Echo, Leaf, Spread, net


def test_arguments_become_the_config() -> None:
    assert Leaf(3, name="a").config == {"class": "tests/Leaf", "width": 3, "name": "a"}


def test_defaults_that_were_not_given_are_left_out() -> None:
    assert Leaf().config == {"class": "tests/Leaf"}


def test_spread_arguments_are_part_of_the_config() -> None:
    config = Spread(1, 2, 3, 4, x=5).config
    assert config == {
        "class": "tests/Spread",
        "first": 1,
        "second": 2,
        "args": [3, 4],
        "x": 5,
    }


def test_later_change_of_an_argument_changes_no_config() -> None:
    widths, sizes = [1, [2]], {"a": [1]}
    branch = Branch(widths, sizes)
    widths[1].append(3)  # type: ignore[union-attr]
    sizes["a"].clear()
    assert branch.config["left"] == [1, [2]]
    assert branch.config["right"] == {"a": [1]}


def test_constructor_itself_refuses_wrong_arguments() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'widht'"):
        Leaf(widht=3)  # type: ignore[call-arg]


def test_constructor_of_the_base_need_not_be_called() -> None:
    assert Leaf().state.count == 0


def test_config_of_an_unregistered_class_says_where_it_is() -> None:
    class Private(ptutils.Module):
        pass

    name = "test_config_of_an_unregistered_class_says_where_it_is.<locals>.Private"
    assert Private().config["class"].endswith(name)


def test_module_without_a_verb_cannot_be_called() -> None:
    with pytest.raises(NotImplementedError, match="Branch defines no __call__"):
        Branch()()


def test_call_is_the_verb_of_a_subclass() -> None:
    leaf = Leaf()
    assert (leaf(), leaf()) == (1, 2)


def test_parts_of_the_meta_are_made_once() -> None:
    leaf = Leaf()
    assert leaf.status is leaf.status
    assert leaf.history is leaf.history
    assert leaf.callbacks is leaf.callbacks
    assert leaf.state is leaf.state


@pytest.mark.parametrize("name", ["config", "state", "status", "history", "callbacks"])
def test_name_of_the_meta_cannot_be_set(name: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot set '{name}' of a Leaf"):
        setattr(Leaf(), name, 3)


@pytest.mark.parametrize("name", ["state_dict", "from_meta", "config", "status"])
def test_class_that_hides_what_every_module_has_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"got: +{name} of Hiding"):
        type("Hiding", (ptutils.Module,), {name: lambda self: None})


def test_class_that_derives_from_a_net_is_refused() -> None:
    with pytest.raises(ConfigError, match="hold the other object as a child"):

        class Both(ptutils.Module, torch.nn.Module):
            pass


def test_callback_is_registered_by_instance() -> None:
    echo = Echo()
    leaf = Leaf()
    assert leaf.register_callback(echo) is echo
    assert leaf.callbacks["echo"] is echo


def test_callback_is_registered_by_name_in_any_case() -> None:
    found = Leaf().register_callback("tests/ECHO", word="hi")
    assert found.config == {"class": "tests/Echo", "word": "hi"}


def test_unknown_callback_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'NaNDetector'"):
        Leaf().register_callback("NaNDetectr")


def test_mistyped_argument_of_a_callback_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'word'"):
        Leaf().register_callback("tests/Echo", wrod="hi")


def test_callback_that_reacts_to_nothing_is_refused() -> None:
    with pytest.raises(CallbackError):
        Leaf().register_callback(Leaf())


def test_modules_of_a_tree_are_named() -> None:
    root = Branch(Branch(Leaf()), net(), many=[Leaf()])
    names = [(path, type(module).__name__) for path, module in root.named_modules()]
    assert names == [
        ("", "Branch"),
        ("left", "Branch"),
        ("left.left", "Leaf"),
        ("many.0", "Leaf"),
    ]


def test_module_is_pickled_with_state_and_config() -> None:
    leaf = Leaf(3)
    leaf.state.count = 5
    leaf.history.record(1, 0, "loss", 0.5)
    twin = pickle.loads(pickle.dumps(Branch(leaf, {"a": 1})))  # noqa: S301
    assert twin.left.state.count == 5
    assert twin.left.history.last("loss").value == 0.5
    assert twin.config == Branch(Leaf(3), {"a": 1}).config


def test_copy_of_a_tree_has_its_config_and_its_own_state() -> None:
    root = Branch(Leaf(3), build(torch.nn.Sequential, net()))
    root.left.history.record(1, 0, "loss", 0.5)
    twin = copy.deepcopy(root)
    twin.left.state.count = 5
    twin.right[0].bias.data.fill_(7.0)
    assert twin.config == root.config
    assert root.left.state.count == 0
    assert not torch.equal(twin.right[0].bias, root.right[0].bias)
    assert twin.left.history.last("loss").value == 0.5


def test_copy_keeps_what_is_shared_shared() -> None:
    leaf = Leaf()
    twin = copy.deepcopy(Branch(leaf, leaf, many=[leaf]))
    assert twin.left is twin.right is twin.many[0]
    assert twin.config["right"] == {"ref": "left"}


def test_replacing_a_child_of_a_copy_leaves_the_original() -> None:
    root = Branch(Leaf(1))
    twin = copy.deepcopy(root)
    twin.left = Leaf(2)
    assert root.config["left.width"] == 1
    assert twin.config["left.width"] == 2


def test_error_in_a_constructor_is_raised_as_it_is() -> None:
    class Failing(ptutils.Module):
        def __init__(self, path: str) -> None:
            raise DataError("no file", path=path)

    with pytest.raises(DataError, match="no file at 'x'"):
        Failing("x")
