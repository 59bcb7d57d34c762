from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

import ptutils
from ptutils.core.building.builder import build
from ptutils.errors import StateMismatchError
from tests.core.samples import Branch, Echo, Leaf, net


def trained(lr: float = 0.1, width: int = 2) -> Branch:
    """Build a net with an optimizer that has taken a step."""
    layer = net(width)
    optimizer = build(torch.optim.AdamW, lr=lr)(layer.parameters())
    layer(torch.ones(1, width)).sum().backward()
    optimizer.step()
    leaf = Leaf()
    leaf.state.count = 5
    return Branch(layer, optimizer, many=[leaf])


def snapshot(module: ptutils.Module) -> Any:
    return copy.deepcopy(module.state_dict())


def is_same(one: Any, other: Any) -> bool:
    return bool(ptutils.meta.codec.encode(one) == ptutils.meta.codec.encode(other))


def test_state_comes_back() -> None:
    old, new = trained(), trained()
    report = new.load_state_dict(snapshot(old))
    assert torch.equal(new.left.weight, old.left.weight)
    assert new.right.state_dict()["state"][0]["exp_avg"].equal(
        old.right.state_dict()["state"][0]["exp_avg"]
    )
    assert report.loaded == (
        "left.weight",
        "left.bias",
        "right",
        "many.0.state.count",
    )


def test_report_reads_as_text() -> None:
    state = snapshot(trained())
    del state["left"]["bias"]
    state["extra"] = 1
    report = trained().load_state_dict(state, strict=False)
    assert str(report) == (
        "loaded 3\nmissing 1: left.bias\nunexpected 1: extra\n"
        "initialized 1: right.state.1"
    )


def without(*path: str) -> Callable[[Any], None]:
    def change(state: Any) -> None:
        for name in path[:-1]:
            state = state[name]
        del state[path[-1]]

    return change


def with_value(path: str, value: Any) -> Callable[[Any], None]:
    def change(state: Any) -> None:
        *parents, last = path.split("/")
        for name in parents:
            state = state[name]
        state[last] = value

    return change


FAULTS = {
    "missing tensor": (without("left", "bias"), "missing left.bias"),
    "missing child": (without("left"), "missing left.weight, left.bias"),
    "missing optimizer": (without("right"), "missing right"),
    "missing own": (without("many", "0", "state"), "missing many.0.state.count"),
    "unexpected tensor": (
        with_value("left/gain", torch.ones(1)),
        "unexpected left.gain",
    ),
    "unexpected child": (with_value("far", {"a": {"b": 1}}), "unexpected far.a.b"),
    "shape": (
        with_value("left/weight", torch.ones(1, 3)),
        r"left.weight: shape \(1, 3\), expected \(1, 2\)",
    ),
    "dtype": (
        with_value("left/weight", torch.ones(1, 2, dtype=torch.float64)),
        "left.weight: dtype torch.float64, expected torch.float32",
    ),
    "no tensor": (with_value("left/weight", 3), "left.weight: shape None"),
    "no net": (with_value("left", 3), "left: a int, expected names with values"),
    "no module": (with_value("many/0", [1]), "many.0: a list, expected names"),
    "no list": (with_value("many", 3), "missing many.0.state.count\\s+unexpected many"),
    "no own state": (with_value("many/0/state", 3), "many.0.state: a int, expected"),
    "no optimizer": (with_value("right", {"a": 1}), "right: no param_groups"),
    "no mapping": (with_value("right", 3), "right: no param_groups"),
    "misspelt own": (
        with_value("many/0/state", {"cuont": 5}),
        "unexpected many.0.state.cuont",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_state_that_does_not_fit_changes_nothing(fault: str) -> None:
    change, text = FAULTS[fault]
    state = snapshot(trained())
    change(state)
    module = trained()
    before = snapshot(module)
    with pytest.raises(StateMismatchError, match=text):
        module.load_state_dict(state)
    assert is_same(module.state_dict(), before)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fits_is_loaded_when_not_strict(fault: str) -> None:
    change, _ = FAULTS[fault]
    state = snapshot(trained())
    change(state)
    report = trained().load_state_dict(state, strict=False)
    assert report.loaded
    assert report.missing or report.unexpected or report.mismatched


def test_all_faults_are_told_at_once() -> None:
    state = snapshot(trained(width=3))
    state["extra"] = 1
    state["many"]["0"]["state"] = {"cuont": 1}
    with pytest.raises(StateMismatchError) as caught:
        trained().load_state_dict(state)
    text = str(caught.value)
    assert "cannot load state into this Branch" in text
    assert "missing many.0.state.count" in text
    assert "unexpected many.0.state.cuont, extra" in text
    assert "left.weight: shape (1, 3), expected (1, 2)" in text
    assert "rename={'many.0.state.cuont': 'many.0.state.count'}" in text
    assert "strict=False" in text


def test_optimizer_of_other_groups_does_not_fit() -> None:
    layer = net()
    groups = [{"params": [layer.weight]}, {"params": [layer.bias]}]
    other = Branch(layer, build(torch.optim.AdamW)(groups), many=[Leaf()])
    with pytest.raises(
        StateMismatchError, match=r"groups of \[1, 1\] parameters, expec"
    ):
        trained().load_state_dict(snapshot(other))


def test_optimizer_of_another_kind_does_not_fit() -> None:
    layer = net()
    other = Branch(layer, build(torch.optim.SGD)(layer.parameters()), many=[Leaf()])
    with pytest.raises(StateMismatchError, match="expected betas, eps, amsgrad"):
        trained().load_state_dict(snapshot(other))


def test_settings_that_a_scheduler_left_in_an_optimizer_fit() -> None:
    state = snapshot(trained())
    state["right"]["param_groups"][0]["initial_lr"] = 0.5
    assert "right" in trained().load_state_dict(state).loaded


class Touchy:
    """Refuse a state by itself."""

    def __init__(self, value: int) -> None:
        self.value = value

    def state_dict(self) -> dict[str, int]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.value = state["value"]
        if self.value < 0:
            raise ValueError("below zero")


def test_refusal_of_one_object_undoes_the_others() -> None:
    layer = net()
    module = Branch(layer, many=[Touchy(1), Touchy(2)])  # type: ignore[list-item]
    state = snapshot(module)
    state["left"]["weight"] += 1
    state["many"] = {"0": {"value": 7}, "1": {"value": -1}}
    before = snapshot(module)
    with pytest.raises(StateMismatchError, match="ValueError: below zero") as caught:
        module.load_state_dict(state)
    assert caught.value.path == "many.1"
    assert is_same(module.state_dict(), before)


@pytest.mark.parametrize(
    ("select", "loaded"),
    [
        ("left", ("left.weight", "left.bias")),
        ("left.bias", ("left.bias",)),
        ("*.weight", ("left.weight",)),
        (["right", "many"], ("right", "many.0.state.count")),
        (lambda path: path.endswith("count"), ("many.0.state.count",)),
    ],
)
def test_selected_paths_alone_are_loaded(select: Any, loaded: Any) -> None:
    report = trained().load_state_dict(snapshot(trained()), select=select)
    assert report.loaded == loaded


def test_what_is_not_selected_may_be_missing_or_wrong() -> None:
    state = {"left": snapshot(trained())["left"], "zzz": 1}
    state["left"]["weight"] = torch.ones(3)
    report = trained().load_state_dict(state, select="left.bias")
    assert report.loaded == ("left.bias",)


def test_beginning_of_a_path_is_renamed() -> None:
    old = trained()
    state = dict(snapshot(old))
    state["encoder"] = state.pop("left")
    new = trained()
    new.load_state_dict(state, rename={"encoder": "left"})
    assert torch.equal(new.left.weight, old.left.weight)


def test_path_is_renamed_by_a_function() -> None:
    state = {"module": snapshot(trained())}
    report = trained().load_state_dict(
        state, rename=lambda path: path.removeprefix("module.")
    )
    assert len(report.loaded) == 4


def test_beginning_is_taken_away_by_an_empty_name() -> None:
    state = {"module": snapshot(trained())}
    assert len(trained().load_state_dict(state, rename={"module": ""}).loaded) == 4


def test_names_within_a_net_are_renamed() -> None:
    inner = build(torch.nn.Sequential, net())
    state = {
        "left": {"backbone.weight": torch.ones(1, 2), "backbone.bias": torch.ones(1)}
    }
    Branch(inner).load_state_dict(state, rename={"left.backbone": "left.0"})
    assert inner[0].bias.item() == 1.0


def test_keys_with_dots_stay_whole_when_renamed() -> None:
    old, new = Branch(Leaf()), Branch(right=Leaf())
    old.left.state.metrics = {"valid.loss": 0.5, "valid": {"x.y": 1}}
    new.right.state.metrics = {}
    new.load_state_dict(old.state_dict(), rename={"left": "right"})
    assert dict(new.right.state.metrics) == {"valid.loss": 0.5, "valid": {"x.y": 1}}


def test_name_of_an_own_state_is_renamed() -> None:
    leaf = Leaf()
    leaf.load_state_dict({"state": {"n": 5}}, rename={"state.n": "state.count"})
    assert leaf.state.count == 5


def test_value_is_renamed_to_a_deeper_place() -> None:
    leaf = Leaf()
    leaf.load_state_dict({"count": 5}, rename={"count": "state.count"})
    assert leaf.state.count == 5


def test_optimizer_keeps_its_int_keys_when_renamed() -> None:
    state = dict(snapshot(trained()))
    state["optimizer"] = state.pop("right")
    new = trained()
    new.load_state_dict(state, rename={"optimizer": "right"})
    assert set(new.right.state_dict()["state"]) == {0, 1}


def test_state_of_a_foreign_object_is_renamed_as_a_whole() -> None:
    module = Branch(Touchy(1))
    module.load_state_dict({"old": {"value": 4}}, rename={"old": "left"})
    assert module.left.value == 4


def test_whole_value_is_renamed_to_a_child() -> None:
    with pytest.raises(StateMismatchError, match="left: a int"):
        Branch(net()).load_state_dict({"old": 3}, rename={"old": "left"})


def test_state_of_a_callback_is_renamed() -> None:
    leaf = Leaf()
    echo = leaf.register_callback(Echo())
    state = {"state": {"count": 1}, "callbacks": {"old": {"state": {"heard": 9}}}}
    leaf.load_state_dict(state, rename={"callbacks.old": "callbacks.echo"})
    assert echo.state.heard == 9


def test_state_of_a_tree_with_a_cycle_may_be_unexpected() -> None:
    parent = Branch(Leaf(), Branch())
    parent.right.left = parent
    state = parent.state_dict()
    report = Branch(Leaf()).load_state_dict(state, strict=False)
    assert report.loaded == ("left.state.count",)
    assert all(path.startswith("right.left") for path in report.unexpected)


def test_state_of_a_tree_with_a_cycle_is_renamed() -> None:
    parent = Branch(Leaf(), Branch())
    parent.right.left = parent
    parent.left.state.count = 5
    twin = Branch(Leaf(), Branch())
    twin.right.left = twin
    twin.load_state_dict(parent.state_dict(), rename={"left": "left"})
    assert twin.left.state.count == 5


def test_two_paths_renamed_to_one_are_refused() -> None:
    state = {"a": {"state": {"count": 1}}, "b": {"state": {"count": 2}}}
    with pytest.raises(StateMismatchError, match="cannot rename two paths to one"):
        Branch(Leaf()).load_state_dict(state, rename={"a": "left", "b": "left"})


def test_shared_child_is_loaded_once() -> None:
    layer = net()
    module = Branch(layer, layer)
    state = snapshot(module)
    state["left"]["bias"].fill_(3.0)
    assert module.load_state_dict(state).loaded == ("left.weight", "left.bias")
    assert module.right.bias.item() == 3.0


def test_names_that_the_owner_added_while_running_come_back() -> None:
    old, new = Leaf(), Leaf()
    old.state.best = 0.5
    new.load_state_dict(old.state_dict())
    assert new.state.best == 0.5


def test_lazy_parameters_take_any_shape() -> None:
    state = Branch(net(3)).state_dict()
    module = Branch(torch.nn.LazyLinear(1))
    module.load_state_dict(state)
    assert module.left.weight.shape == (1, 3)


def test_statistics_of_a_norm_layer_come_back() -> None:
    old, new = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    old(torch.randn(4, 2))
    Branch(new).load_state_dict(Branch(old).state_dict())
    assert new.num_batches_tracked.item() == 1  # type: ignore[union-attr]


def test_own_state_of_a_net_comes_back() -> None:
    class Extra(torch.nn.Module):
        value = 0

        def get_extra_state(self) -> int:
            return self.value

        def set_extra_state(self, state: int) -> None:
            self.value = state

    old, new = Extra(), Extra()
    old.value = 3
    Branch(new).load_state_dict(Branch(old).state_dict())
    assert new.value == 3


def test_metric_judges_its_state_for_itself() -> None:
    name = "torchmetrics.classification.BinaryAccuracy"
    metric = build({"class": name})
    metric.persistent(True)
    module = Branch(metric)
    assert module.load_state_dict(module.state_dict()).loaded == ("left",)


def test_object_without_a_state_may_be_missing() -> None:
    assert Branch(ptutils.State()).load_state_dict({}).loaded == ()


def test_module_refreshes_before_and_reacts_after() -> None:
    calls = []

    class Watchful(Leaf):
        def _before_save(self) -> None:
            calls.append("before")

        def _after_load(self) -> None:
            calls.append(f"after {self.state.count}")

    Watchful().load_state_dict({"state": {"count": 4}})
    assert calls == ["before", "after 4"]


class Averaging(torch.nn.Module):
    """Keeps what torch leaves out of a state; one of it is made when it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2), persistent=False)
        self.register_buffer("cache", None, persistent=False)


def test_buffers_that_torch_leaves_out_come_back() -> None:
    one, other = Branch(Averaging()), Branch(Averaging())
    one.left.mean += 3
    one.left.cache = torch.arange(5)
    report = other.load_state_dict(one.state_dict())
    assert torch.equal(other.left.mean, one.left.mean)
    assert torch.equal(other.left.cache, one.left.cache)
    assert "left.mean" in report.loaded
    one.left.mean += 1
    assert other.left.mean.tolist() == [3, 3]


def test_state_of_other_origin_may_lack_what_torch_leaves_out() -> None:
    other = Branch(Averaging())
    report = other.load_state_dict({"left": Averaging().state_dict()})
    assert report.missing == ()


def test_other_shape_of_a_buffer_that_torch_leaves_out_is_taken() -> None:
    one, other = Branch(Averaging()), Branch(Averaging())
    one.left.mean = torch.ones(7)
    other.load_state_dict(one.state_dict())
    assert other.left.mean.shape == (7,)


def test_buffers_that_are_not_selected_stay() -> None:
    one, other = Branch(Averaging()), Branch(Averaging())
    one.left.mean += 3
    other.load_state_dict(one.state_dict(), select="left.linear")
    assert other.left.mean.tolist() == [0, 0]
