from __future__ import annotations

from typing import Any

import pytest
import torch

import ptutils
from ptutils.core.building.builder import build
from ptutils.core.building.late import Late
from ptutils.errors import ConfigError, DataError
from ptutils.meta.registry import recall
from tests.core.samples import Branch, Leaf, Spread, Typed, make_leaf, make_relu

LINEAR = {"class": "torch.nn.Linear", "in_features": 3, "out_features": 2}


def test_dict_with_class_is_built() -> None:
    leaf = build({"class": "tests/Leaf", "width": 3})
    assert isinstance(leaf, Leaf)
    assert leaf.width == 3


def test_nested_dicts_lists_and_tuples_are_built() -> None:
    leaf = {"class": "tests/Leaf"}
    branch = build(
        {
            "class": "tests/Branch",
            "left": [leaf, 3],
            "right": (leaf,),
            "named": {"a": leaf},
        }
    )
    assert isinstance(branch.left[0], Leaf)
    assert branch.left[1] == 3
    assert isinstance(branch.right, tuple)
    assert isinstance(branch.named["a"], Leaf)


def test_plain_mapping_is_built_item_by_item() -> None:
    built = build({"a": {"class": "tests/Leaf"}, "b": 1})
    assert isinstance(built["a"], Leaf)
    assert built["b"] == 1


@pytest.mark.parametrize("key", ["_target_", "func"])
def test_class_is_read_under_its_synonyms(key: str) -> None:
    assert isinstance(build({key: "tests/Leaf"}), Leaf)


def test_class_is_built_from_arguments() -> None:
    assert build(Leaf, 4).width == 4
    assert build("tests/Leaf", width=5).width == 5


@pytest.mark.parametrize(
    "config",
    [
        {"class": "torch.nn.Linear", "args": [64, 10]},
        {"class": "torch.nn.Linear", "args": [64], "out_features": 10},
        {"class": "torch.nn.Linear", "in_features": 64, "out_features": 10},
        {"class": "torch.nn.modules.linear.Linear", "args": (64, 10)},
    ],
)
def test_all_spellings_of_one_layer_have_one_config(config: dict[str, Any]) -> None:
    by_hand = Branch(build(torch.nn.Linear, 64, 10))
    built = build({"class": "tests/Branch", "left": config})
    assert built.config == by_hand.config
    assert built.config["left"] == {
        "class": "torch.nn.Linear",
        "in_features": 64,
        "out_features": 10,
    }


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((1,), {}), ((1, 2), {}), ((1, 2, 3, 4), {"x": 5}), ((1,), {"second": 3})],
)
def test_captured_arguments_build_the_same(args: Any, kwargs: Any) -> None:
    spread = Spread(*args, **kwargs)
    twin = build(spread.config)
    assert (twin.given, twin.more) == (spread.given, spread.more)
    assert twin.config == spread.config


def test_late_argument_of_a_built_object_is_not_part_of_its_config() -> None:
    net = torch.nn.Linear(1, 1)
    branch = Branch(build(torch.optim.SGD, net.parameters(), lr=0.5))
    assert branch.config["left"] == {"class": "torch.optim.SGD", "lr": 0.5}


def test_registered_function_is_called() -> None:
    assert build({"class": "tests/make_leaf", "width": 7}).width == 7
    assert build(make_leaf, 7).width == 7


def test_object_remembers_the_function_that_made_it() -> None:
    relu = build({"class": "tests/make_relu", "inplace": True})
    assert recall(relu) == (make_relu, {"inplace": True})


def test_reference_shares_one_object() -> None:
    branch = build(
        {
            "class": "tests/Branch",
            "left": {"ref": "right"},
            "right": {"class": "tests/Leaf"},
            "many": [{"ref": "right"}],
        }
    )
    assert branch.left is branch.right
    assert branch.many[0] is branch.right


def test_reference_shares_a_plain_container() -> None:
    branch = build({"class": "tests/Branch", "left": {"ref": "right"}, "right": [1]})
    assert branch.left is branch.right


def test_reference_into_positions_shares() -> None:
    config = {
        "class": "tests/Branch",
        "left": {"class": "torch.nn.Sequential", "args": [LINEAR]},
        "right": {"ref": "left.args.0"},
    }
    branch = build(config)
    assert branch.left[0] is branch.right


def test_reference_under_a_key_with_a_dot_shares() -> None:
    config = {
        "class": "tests/Branch",
        "named": {"a.b": {"class": "tests/Leaf"}},
        "left": {"ref": "named.a.b"},
    }
    branch = build(config)
    assert branch.left is branch.named["a.b"]


def test_dict_with_ref_among_other_keys_is_data() -> None:
    branch = build({"class": "tests/Branch", "left": {"ref": "a", "other": 1}})
    assert branch.left == {"ref": "a", "other": 1}


def test_doubling_references_are_built_once() -> None:
    levels = 60
    config: dict[str, Any] = {
        f"l{i}": [{"ref": f"l{i + 1}"}, {"ref": f"l{i + 1}"}] for i in range(levels)
    }
    assert build({**config, f"l{levels}": 1})["l59"] == [1, 1]


def test_value_is_copied_by_path() -> None:
    config = {"class": "tests/Branch", "left": 3, "right": "${left}"}
    assert build(config).right == 3


def test_provided_object_is_used() -> None:
    net = torch.nn.Linear(1, 1)
    config = {"class": "tests/Branch", "left": {"class": "x.Y", "opaque": True}}
    assert build(config, provide={"left": net}).left is net


def test_provided_object_is_shared_by_reference() -> None:
    net = torch.nn.Linear(1, 1)
    config = Branch(net, net).config
    assert config["right"] == {"ref": "left"}
    branch = build(config, provide={"left": net})
    assert branch.right is net


def test_provided_object_inside_a_plain_list_is_used() -> None:
    config = {"class": "tests/Branch", "left": [1, {"a": 2}]}
    assert build(config, provide={"left.1.a": "new"}).left == [1, {"a": "new"}]


def test_name_is_enough_where_a_module_is_expected() -> None:
    built = build({"class": "tests/Typed", "leaves": ["tests/Leaf", {"width": 2}]})
    assert [leaf.width for leaf in built.leaves] == [1, 2]


def test_class_is_left_out_where_only_one_fits() -> None:
    assert build({"class": "tests/Typed", "leaf": {"width": 3}}).leaf.width == 3


def test_text_stays_a_text_where_one_is_expected() -> None:
    assert (
        build({"class": "tests/Typed", "either": "tests/Leaf"}).either == "tests/Leaf"
    )


def test_list_becomes_the_tuple_that_is_expected() -> None:
    leaf = {"class": "tests/Leaf"}
    typed = build({"class": "tests/Typed", "betas": [0.8, 0.9], "pair": [leaf]})
    assert typed.betas == (0.8, 0.9)
    assert isinstance(typed.pair, tuple)


def test_tuple_is_let_pass_where_a_list_is_expected() -> None:
    built = build({"class": "tests/Typed", "leaves": ({"class": "tests/Leaf"},)})
    assert isinstance(built.leaves, tuple)


def test_metric_of_torchmetrics_is_built() -> None:
    name = "torchmetrics.classification.MulticlassAccuracy"
    metric = build({"class": name, "num_classes": 3})
    assert Branch(metric).config["left"] == {"class": name, "num_classes": 3}


def test_class_itself_may_stand_in_the_config() -> None:
    assert isinstance(build({"class": Leaf, "width": 2}), Leaf)


def test_optimizer_waits_for_its_parameters() -> None:
    late = build({"class": "torch.optim.SGD", "lr": 0.5})
    net = torch.nn.Linear(1, 1)
    optimizer = late(net.parameters())
    assert isinstance(late, Late)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert Branch(optimizer).config == Branch(late).config


def test_config_calls_the_builder() -> None:
    assert isinstance(ptutils.Config({"class": "tests/Leaf"})(), Leaf)


def test_error_of_a_constructor_names_class_and_path() -> None:
    config = {"class": "tests/Branch", "left": {"class": "torch.nn.Dropout", "p": 3.0}}
    with pytest.raises(ConfigError, match="ValueError: dropout probability") as caught:
        build(config)
    assert "cannot build torch.nn.Dropout at 'left'" in str(caught.value)


def test_error_of_ours_in_a_constructor_is_left_as_it_is() -> None:
    @ptutils.register(name="tests/Failing")
    class Failing(ptutils.Module):
        def __init__(self) -> None:
            raise DataError("no file")

    with pytest.raises(DataError, match="no file"):
        build({"class": "tests/Failing"})


def test_nothing_is_built_when_something_is_wrong() -> None:
    built = []

    @ptutils.register(name="tests/Noting")
    class Noting(ptutils.Module):
        def __init__(self) -> None:
            built.append(self)

    config = {"left": {"class": "tests/Noting"}, "right": {"class": "os.system"}}
    with pytest.raises(ConfigError, match="refused"):
        build({"class": "tests/Branch", **config})
    assert built == []


def test_mistyped_argument_of_a_class_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'width'"):
        build(Leaf, widht=3)


def test_hook_sees_the_arguments_before_they_are_built() -> None:
    seen = []

    @ptutils.register(name="tests/Hooked")
    class Hooked(Typed):
        @classmethod
        def _before_build(cls, arguments: Any) -> None:
            seen.append(arguments["leaf"])

    build({"class": "tests/Hooked", "leaf": {"class": "tests/Leaf"}})
    assert isinstance(seen[0], dict)


def test_fault_found_by_a_constructor_is_named_by_its_path_in_the_config() -> None:
    config = {
        "class": "Trainer",
        "model": {
            "class": "Model",
            "net": {"class": "torch.nn.Identity"},
            "device": "nowhere",
        },
    }
    with pytest.raises(ConfigError) as refused:
        build(config)
    assert refused.value.path.startswith("model")


def test_bare_number_for_a_duration_is_refused_with_units() -> None:
    with pytest.raises(ConfigError, match="write '3 steps' or '3 epochs'") as refused:
        build({"class": "Schedule", "duration": 3})
    assert refused.value.path == "duration"
