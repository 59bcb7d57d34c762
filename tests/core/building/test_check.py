from __future__ import annotations

from typing import Any, Protocol

import pytest
import torch

import ptutils
from ptutils.core.building.builder import build
from ptutils.core.building.check import checked
from ptutils.core.building.late import Late
from ptutils.errors import ConfigError, TrustError
from ptutils.meta.config import Config
from tests.core.samples import Leaf


def message(config: dict[str, Any], **given: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        checked(Config(config), **given)
    return str(caught.value)


def typed(**arguments: Any) -> dict[str, Any]:
    return {"class": "tests/Typed", **arguments}


class Loud(Protocol):
    volume: int


class Model(ptutils.Module):
    def __init__(self, optimizer: Late | None = None, loud: Loud | None = None) -> None:
        self.optimizer = optimizer


def test_unknown_argument_is_named_with_the_nearest() -> None:
    text = message({"class": "tests/Leaf", "widht": 3})
    assert "unknown argument 'widht' of tests/Leaf at 'widht'" in text
    assert "did you mean 'width'?" in text


def test_unknown_argument_like_no_other_is_to_be_removed() -> None:
    assert "remove it" in message({"class": "tests/Leaf", "zzzzz": 3})


def test_argument_of_a_class_that_takes_none_is_unknown() -> None:
    class Bare(ptutils.Module):
        pass

    assert "expected: no arguments" in message({"class": Bare, "width": 2})


def test_key_that_is_no_text_is_no_argument() -> None:
    assert "unknown argument '1'" in message(
        {"class": "tests/Spread", "first": 1, 1: 2}
    )


def test_missing_arguments_are_named() -> None:
    text = message({"left": {"class": "torch.nn.Linear"}})
    assert "cannot build torch.nn.Linear at 'left'" in text
    assert "a value for in_features, out_features" in text
    assert "got:      no arguments" in text
    assert "add left.in_features" in text


def test_wrong_type_is_named_with_its_value() -> None:
    text = message({"class": "torch.nn.Linear", "in_features": "64", "out_features": 1})
    assert "wrong type at 'in_features'" in text
    assert "expected: int" in text
    assert "got:      '64' (str)" in text


def test_wrong_type_in_positions_is_named() -> None:
    text = message({"class": "torch.nn.Linear", "args": [64, "ten"]})
    assert "wrong type at 'args.1'" in text


def test_wrong_type_among_spread_arguments_is_named() -> None:
    text = message({"class": "tests/Spread", "args": [1, 2, 3, "four"]})
    assert "wrong type at 'args.3'" in text


def test_wrong_type_after_named_positions_is_named() -> None:
    config = {"class": "tests/Spread", "first": 1, "second": 2, "args": [3, "four"]}
    assert "wrong type at 'args.1'" in message(config)


def test_positions_of_a_function_without_hints_take_anything() -> None:
    @ptutils.register(name="tests/Unhinted")
    def unhinted(a, *rest):  # type: ignore[no-untyped-def]
        return a, rest

    assert build({"class": "tests/Unhinted", "args": [1, "a"]}) == (1, ("a",))


@pytest.mark.parametrize("given", [5, None, "ab", {"a": 1}])
def test_positions_that_are_no_list_are_refused(given: object) -> None:
    text = message({"class": "tests/Leaf", "args": given})
    assert "a list of positional arguments" in text


def test_too_many_positions_are_refused() -> None:
    text = message({"class": "torch.nn.ReLU", "args": [True, False]})
    assert "too many positional arguments of torch.nn.ReLU at 'args'" in text
    assert "at most 1: inplace" in text


def test_argument_given_twice_is_refused() -> None:
    text = message({"class": "tests/Leaf", "args": [1], "width": 2})
    assert "argument 'width' of tests/Leaf is given twice" in text


def test_unknown_class_is_named_with_the_nearest() -> None:
    assert "did you mean 'Trainer'?" in message({"class": "Trianer"})


def test_untrusted_class_is_refused_at_its_path() -> None:
    with pytest.raises(TrustError) as caught:
        checked(Config({"left": [{"class": "os.system"}]}))
    assert caught.value.path == "left.0.class"


def test_arguments_of_an_unknown_class_are_checked_all_the_same() -> None:
    text = message({"class": "Nonsuch", "a": {"class": "tests/Leaf", "widht": 1}})
    assert "unknown argument 'widht'" in text


@pytest.mark.parametrize("name", [5, None, ["tests/Leaf"], 1.5])
def test_class_that_is_no_name_is_refused(name: object) -> None:
    assert "the name of a class" in message({"left": {"class": name}})


def test_abstract_class_is_refused_with_its_hooks() -> None:
    text = message({"class": "DBInterface"})
    assert "cannot build the abstract DBInterface at 'class'" in text
    assert "no _" in text


def test_class_of_the_wrong_kind_is_refused() -> None:
    text = message(typed(leaf={"class": "torch.nn.ReLU"}))
    assert "cannot use a torch.nn.ReLU here at 'leaf'" in text
    assert "expected: Leaf" in text


def test_class_of_the_wrong_kind_in_a_list_is_refused() -> None:
    text = message(typed(leaves=[{"class": "tests/Leaf"}, {"class": "tests/Echo"}]))
    assert "cannot use a tests/Echo here at 'leaves.1'" in text


def test_class_where_a_number_is_expected_is_refused() -> None:
    assert "expected: float" in message(typed(rate={"class": "tests/Leaf"}))


def test_class_where_a_function_is_expected_is_fine() -> None:
    checked(Config(typed(act={"class": "torch.nn.ReLU"})))


def test_function_is_not_judged_by_its_kind() -> None:
    checked(Config(typed(leaf={"class": "tests/make_leaf", "width": 1})))


def test_late_object_is_fine_where_one_is_expected() -> None:
    config = {"class": Model, "optimizer": {"class": "torch.optim.SGD", "lr": 0.1}}
    assert isinstance(build(config).optimizer, Late)


def test_protocol_that_cannot_be_asked_takes_any_class() -> None:
    checked(Config({"class": Model, "loud": {"class": "tests/Leaf"}}))


@pytest.mark.parametrize("key", ["rate", "either"])
def test_list_of_things_to_build_where_none_is_expected_is_refused(key: str) -> None:
    text = message(typed(**{key: [{"class": "tests/Leaf"}]}))
    assert f"wrong type at '{key}'" in text
    assert "got:      list" in text


def test_dict_of_things_to_build_where_a_list_is_expected_is_refused() -> None:
    text = message(typed(leaves={"a": {"class": "tests/Leaf"}}))
    assert "wrong type at 'leaves'" in text


def test_mistyped_setting_of_a_class_that_is_left_out_is_named() -> None:
    assert "did you mean 'width'" in message(typed(leaf={"widht": 3}))


def test_class_is_not_filled_in_where_two_fit() -> None:
    class Two(ptutils.Module):
        def __init__(self, leaf: Leaf | Model) -> None:
            pass

    assert "wrong type at 'leaf'" in message({"class": Two, "leaf": {"width": 1}})


def test_class_is_not_filled_in_where_a_dict_is_expected() -> None:
    class Either(ptutils.Module):
        def __init__(self, leaf: Leaf | dict[str, int]) -> None:
            self.leaf = leaf

    assert build({"class": Either, "leaf": {"width": 1}}).leaf == {"width": 1}


def test_reference_to_nowhere_is_named() -> None:
    assert "bad reference at 'left'" in message(
        {"class": "tests/Branch", "left": {"ref": "rihgt"}, "right": 1}
    )


def test_circle_of_references_is_named() -> None:
    text = message(
        {"class": "tests/Branch", "left": {"ref": "right"}, "right": {"ref": "left"}}
    )
    assert "circular reference at 'left'" in text


def test_missing_value_of_an_interpolation_is_named() -> None:
    assert "rihgt" in message({"class": "tests/Branch", "left": "${rihgt}", "right": 1})


def test_opaque_object_asks_to_be_provided() -> None:
    config = {"left": {"class": "lab.Net", "opaque": True}}
    text = message(config)
    assert "cannot rebuild the lab.Net that was made by hand at 'left'" in text
    assert "provide={'left': ...}" in text


def test_class_with_a_parameter_called_opaque_is_built() -> None:
    @ptutils.register(name="tests/Glass")
    class Glass(ptutils.Module):
        def __init__(self, opaque: bool, depth: int) -> None:
            self.depth = depth

    assert build({"class": "tests/Glass", "opaque": True, "depth": 2}).depth == 2


def test_provided_object_that_nothing_asks_for_is_named() -> None:
    text = message({"class": "tests/Leaf"}, provide={"net": 1})
    assert "cannot provide an object at 'net'" in text


def test_nothing_below_what_is_provided_is_checked() -> None:
    config = {
        "class": "tests/Branch",
        "left": {"class": "os.system", "x": {"ref": "q"}},
    }
    checked(Config(config), provide={"left": torch.nn.ReLU()})


def test_root_may_be_provided() -> None:
    assert build({"class": "tests/Leaf"}, provide={"": 3}) == 3


def test_all_faults_are_told_at_once() -> None:
    text = message(
        {
            "class": "tests/Branch",
            "lefft": 1,
            "left": {"class": "torch.nn.Linear", "in_features": "a"},
            "right": {"class": "os.system"},
            "many": [{"class": "Trianer"}, {"ref": "nowhere"}],
        },
        provide={"x": 1},
    )
    assert text.startswith("cannot build this config: 7 faults\n")
    for part in [
        "unknown argument 'lefft' of tests/Branch at 'lefft'",
        "a value for out_features",
        "wrong type at 'left.in_features'",
        "refused to resolve 'os.system' at 'right.class'",
        "unknown class 'Trianer' at 'many.0.class'",
        "bad reference at 'many.1'",
        "cannot provide an object at 'x'",
    ]:
        assert part in text


def test_known_class_needs_no_registration() -> None:
    class Private(Leaf):
        pass

    name = f"{Private.__module__}.{Private.__qualname__}"
    assert checked(Config({"class": name}), known=[Private])["class"] is Private
