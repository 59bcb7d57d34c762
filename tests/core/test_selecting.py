"""A part of a State goes into another tree; what is named and not there is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import ptutils
from ptutils.core.loading import LoadReport, Part, load_tree
from ptutils.errors import ConfigError, StateMismatchError
from tests.core.samples import Branch, Leaf, net


def state_of(module: ptutils.Module) -> Any:
    return copy.deepcopy(module.state_dict())


def counted(count: int) -> Leaf:
    leaf = Leaf()
    leaf.state.count = count
    return leaf


def load_part(
    module: ptutils.Module, state: Any, *, select: Any, rename: Any
) -> LoadReport:
    """Load as a branch does that takes over a part."""
    given = "*" if select is None else select
    part = Part(select=given, rename=rename, missing="skip", unexpected="skip")
    return load_tree(module, state, part)


def test_part_is_taken_over_and_the_rest_stays_as_it_was_built() -> None:
    old = state_of(Branch(net(), many=[counted(5)]))
    new = Branch(net(), net(), many=[counted(1)])
    before = new.left.weight.clone()
    report = load_part(new, old, select="many", rename=None)
    assert new.many[0].state.count == 5
    assert torch.equal(new.left.weight, before)
    assert report.loaded == ("many.0.state.count",)


def test_report_names_what_the_state_lacks_and_what_the_tree_lacks() -> None:
    old = state_of(Branch(net()))
    old["extra"] = 1
    report = load_part(Branch(net(), net()), old, select=None, rename=None)
    assert report.missing == ("right.weight", "right.bias")
    assert report.unexpected == ("extra",)


def test_renamed_part_is_loaded_under_its_new_name() -> None:
    old, new = Branch(net()), Branch(None, net())
    load_part(new, state_of(old), select=None, rename={"left": "right"})
    assert torch.equal(new.right.weight, old.left.weight)


def test_function_renames_and_selects() -> None:
    old, new = Branch(net()), Branch(None, net())
    report = load_part(
        new,
        state_of(old),
        select=lambda path: path.endswith("weight"),
        rename=lambda path: path.replace("left", "right"),
    )
    assert report.loaded == ("right.weight",)


def test_selected_part_of_another_shape_is_refused() -> None:
    new = Branch(net(3), many=[counted(1)])
    old = state_of(Branch(net(2), many=[counted(5)]))
    with pytest.raises(StateMismatchError, match=r"left\.weight: shape"):
        load_part(new, old, select=None, rename=None)
    assert new.many[0].state.count == 1


def test_each_name_that_is_selected_leads_somewhere() -> None:
    old = state_of(Branch(net()))
    with pytest.raises(StateMismatchError, match="cannot select 'lft'") as refused:
        load_part(Branch(net()), old, select=iter(["left.bias", "lft"]), rename=None)
    assert refused.value.fix == "did you mean 'left'?"


def test_predicate_that_selects_nothing_is_refused() -> None:
    with pytest.raises(StateMismatchError, match="cannot select <function") as refused:
        load_part(Branch(net()), {}, select=lambda path: False, rename=None)
    assert refused.value.fix == ""


@pytest.mark.parametrize("select", [3, [3], []])
def test_what_selects_nothing_is_refused(select: Any) -> None:
    with pytest.raises(ConfigError, match="cannot select by this"):
        load_part(Branch(net()), {}, select=select, rename=None)


def test_each_name_that_is_renamed_leads_somewhere() -> None:
    old = state_of(Branch(net()))
    with pytest.raises(StateMismatchError, match="cannot rename 'lef'") as refused:
        load_part(Branch(net()), old, select=None, rename={"lef": "right"})
    assert refused.value.fix == "did you mean 'left'?"
