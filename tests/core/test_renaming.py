"""The state of one tree goes into another whose parts have other names."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import ptutils
from ptutils.errors import ConfigError, StateMismatchError
from ptutils.meta.codec import encode
from tests.core.samples import Branch, Leaf, net


def state_of(module: Any) -> Any:
    return copy.deepcopy(module.state_dict())


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.ModuleList([net(), net()])


FOREIGN = {
    f"model.layer{number}.{name}": torch.full(shape, float(number))
    for number in (1, 2)
    for name, shape in (("gamma", (1, 2)), ("bias", (1,)))
}


def numbered(path: str) -> str:
    path = path.replace("model.", "left.body.").replace("gamma", "weight")
    return path.replace("layer1", "0").replace("layer2", "1")


@pytest.mark.parametrize(
    "rename",
    [
        numbered,
        {old: numbered(old) for old in FOREIGN},
        {
            re.compile(r"^model\.layer1\.gamma"): "left.body.0.weight",
            re.compile(r"^model\.layer2\.gamma"): "left.body.1.weight",
            "model.layer1": "left.body.0",
            re.compile(r"^model\.layer2"): "left.body.1",
        },
        [
            (r"^model\.", "left.body."),
            (re.compile(r"layer1"), "0"),
            ("layer2", "1"),
            ("gamma$", "weight"),
        ],
    ],
    ids=["function", "dict", "regular expressions", "pairs"],
)
def test_file_of_another_origin_goes_into_a_net_of_other_names(
    rename: Any, tmp_path: Path
) -> None:
    save_file(FOREIGN, tmp_path / "weights.safetensors")
    module = Branch(Net())
    state = ptutils.State(tmp_path / "weights.safetensors")
    report = module.load_state_dict(state, rename=rename)
    assert module.left.body[1].weight.tolist() == [[2.0, 2.0]]
    assert report.renamed == {old: numbered(old) for old in FOREIGN}


def test_whole_file_goes_below_a_child() -> None:
    report = Branch(net()).load_state_dict(net().state_dict(), rename={"": "left"})
    assert report.renamed == {"weight": "left.weight", "bias": "left.bias"}


@pytest.mark.parametrize(
    "rename",
    [
        {"head": None},
        {re.compile("head"): None},
        [("^head.*", None)],
        lambda path: None if path.startswith("head") else path,
    ],
)
def test_what_is_renamed_to_none_is_left_out(rename: Any) -> None:
    state = state_of(Branch(net()))
    state["head"] = {"weight": torch.ones(1)}
    report = Branch(net()).load_state_dict(state, rename=rename)
    assert report.renamed == {"head.weight": None}
    assert report.unexpected == ()


def test_pairs_after_one_that_leaves_out_do_nothing() -> None:
    state = {"head": 1, **state_of(Branch(Leaf()))}
    pairs = [("^head$", None), ("left", "left")]
    assert Branch(Leaf()).load_state_dict(state, rename=pairs).loaded


def test_first_key_that_matches_decides() -> None:
    state = {"a": {"b": {"count": 1}, "c": {"count": 2}}}
    module = Branch(Leaf(), Leaf())
    module.load_state_dict(state, rename={"a.b": "left.state", "a.c": "right.state"})
    assert (module.left.state.count, module.right.state.count) == (1, 2)


def test_key_that_another_hides_is_refused() -> None:
    rename = {"a": "left", "a.b": "right"}
    with pytest.raises(StateMismatchError, match=r"cannot rename 'a\.b'") as refused:
        Branch(Leaf()).load_state_dict({"a": {"b": 1}}, rename=rename)
    assert refused.value.fix == "put it before the other"


@pytest.mark.parametrize(
    ("rename", "fix"),
    [
        ({"lef": "right"}, "did you mean 'left'?"),
        ({re.compile("lef$"): "right"}, ""),
        ([("^rihgt", "right")], ""),
        ({"zzz": "right"}, ""),
    ],
)
def test_rule_that_matches_nothing_is_refused(rename: Any, fix: str) -> None:
    with pytest.raises(StateMismatchError, match="nothing there") as refused:
        Branch(net()).load_state_dict(state_of(Branch(net())), rename=rename)
    assert fix in ("", refused.value.fix)


@pytest.mark.parametrize(
    "rename",
    [
        {"a": "left", "b": "left"},
        {"a": "left.x", "b": "left.x.y"},
        {"b": "left.x.y", "a": "left.x"},
        {"a": "left.x.y", "b": "left.x"},
    ],
)
def test_two_paths_in_one_place_are_refused_with_both(rename: Any) -> None:
    with pytest.raises(StateMismatchError, match="two paths to one") as refused:
        Branch(Leaf()).load_state_dict({"a": 1, "b": 2}, rename=rename)
    assert sorted(refused.value.got.split(" and ")) == ["a", "b"]


def test_equal_paths_of_different_keys_stay_apart() -> None:
    leaf = Leaf()
    leaf.state.x = {"y.z": 1, "y": {"z": 2}}
    twin = Leaf()
    twin.load_state_dict(leaf.state_dict(), rename={"state.count": "state.count"})
    assert dict(twin.state.x) == {"y.z": 1, "y": {"z": 2}}


@pytest.mark.parametrize("new", ["", 3])
def test_new_path_has_to_be_one(new: Any) -> None:
    with pytest.raises(StateMismatchError, match="cannot rename this path") as refused:
        Leaf().load_state_dict({"old": 1}, rename=lambda path: new)
    assert (refused.value.path, refused.value.got) == ("old", repr(new))


@pytest.mark.parametrize("rename", ["left=right", [("a", "b", "c")], [("(", "")], 3])
def test_what_is_no_renaming_is_refused(rename: Any) -> None:
    with pytest.raises(ConfigError, match="cannot rename by this"):
        Leaf().load_state_dict({}, rename=rename)


def test_replacement_without_its_group_is_refused() -> None:
    with pytest.raises(ConfigError, match="refers to groups") as refused:
        Leaf().load_state_dict({"old": 1}, rename=[("old", r"\2")])
    assert refused.value.path == "old"


def test_what_is_renamed_is_selected_by_its_new_path() -> None:
    optimizer = torch.optim.SGD(net().parameters())
    state = {"old": Branch(Leaf(), optimizer).state_dict()}
    new = Branch(Leaf(), torch.optim.SGD(net().parameters()))
    report = new.load_state_dict(
        state, select=lambda path: path == "right", rename={"old": ""}
    )
    assert report.loaded == ("right",)
    assert all(path.startswith("old.right.") for path in report.renamed)


def test_selected_own_state_is_renamed_with_all_within() -> None:
    old, new = Branch(Leaf()), Branch(right=Leaf())
    old.left.state.metrics = {"valid": {"loss": 0.5}}
    report = new.load_state_dict(
        old.state_dict(),
        rename={"left": "right"},
        select=re.compile("metrics$"),
        missing="skip",
    )
    assert report.loaded == ("right.state.metrics",)


names = st.sampled_from(["a", "b", "a.b", "0", "1", "count", "", "$"])
values = st.recursive(
    st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2)
    ),
    max_leaves=5,
)


@st.composite
def trees(draw: Any) -> Branch:
    """Draw a small tree of nets, counters and branches."""
    leaf = Leaf()
    leaf.state.extra = draw(st.dictionaries(names, values, max_size=3))
    inner = Branch(leaf, net(draw(st.integers(1, 3))))
    parts: list[Any] = [None, net(2), leaf, inner]
    left, right = draw(st.permutations(parts))[:2]
    return Branch(left, right, named={"deep": inner} if draw(st.booleans()) else None)


def blank(module: Branch) -> Branch:
    """Return the same tree with other values."""
    twin = copy.deepcopy(module)
    for tensor in [t for _, c in twin.named_modules() for t in nets(c)]:
        tensor.data.fill_(9.0)
    for _, child in twin.named_modules():
        child.state.update(dict.fromkeys(child.state, "other"))
    return twin


def nets(module: Any) -> list[Any]:
    held = [module.left, module.right] if isinstance(module, Branch) else []
    return [t for n in held if isinstance(n, torch.nn.Module) for t in n.parameters()]


def same(one: Any, other: Any) -> bool:
    return encode(one.state_dict()) == encode(other.state_dict())


@settings(max_examples=40, deadline=None)
@given(module=trees(), prefix=st.sampled_from(["x", "x.y", "left", "0"]))
def test_inverse_renaming_undoes_a_renaming(module: Branch, prefix: str) -> None:
    plain, moved = blank(module), blank(module)
    plain.load_state_dict(state_of(module))
    away = nested(prefix, state_of(module))
    if away != {}:
        moved.load_state_dict(away, rename=lambda path: path.removeprefix(f"{prefix}."))
    assert same(plain, module)
    assert same(moved, plain)


def nested(prefix: str, state: Any) -> Any:
    for name in reversed(prefix.split(".")):
        state = {name: state} if state else {}
    return state


@settings(max_examples=40, deadline=None)
@given(module=trees(), chosen=st.sampled_from(["left", "right", "named", "*.weight"]))
def test_two_halves_make_a_whole(module: Branch, chosen: str) -> None:
    state = state_of(module)
    paths = blank(module).load_state_dict(copy.deepcopy(state)).loaded
    first = {path for path in paths if path.startswith(chosen)}
    whole = blank(module)
    for half in (first, set(paths) - first):
        if half:
            whole.load_state_dict(copy.deepcopy(state), select=half.__contains__)
    assert same(whole, module)


@settings(max_examples=40, deadline=None)
@given(
    module=trees(),
    missing=st.sampled_from(["error", "warn", "skip", "initialize"]),
    unexpected=st.sampled_from(["error", "warn", "skip"]),
    mismatched=st.sampled_from(["error", "warn", "skip", "initialize"]),
)
def test_modes_never_change_what_fits(
    module: Branch, missing: str, unexpected: str, mismatched: str
) -> None:
    other = blank(module)
    other.load_state_dict(
        state_of(module), missing=missing, unexpected=unexpected, mismatched=mismatched
    )
    assert same(other, module)
