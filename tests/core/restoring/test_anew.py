"""What a state gives nothing for begins anew, and only that."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from ptutils.errors import StateMismatchError
from tests.core.samples import Branch, Leaf, net


def state_of(module: Any) -> Any:
    return copy.deepcopy(module.state_dict())


def test_missing_tensor_begins_anew_and_its_layer_keeps_the_rest() -> None:
    layer = net()
    layer.weight.data.fill_(5.0)
    layer.bias.data.fill_(5.0)
    module = Branch(layer)
    given = {"left": {"bias": torch.full((1,), 7.0)}}
    report = module.load_state_dict(given, missing="initialize")
    assert layer.bias.item() == 7.0
    assert (layer.weight.abs() <= 1).all()
    assert report.missing == report.initialized == ("left.weight",)


def test_what_is_not_selected_does_not_begin_anew() -> None:
    layer = net()
    layer.weight.data.fill_(5.0)
    Branch(layer).load_state_dict({}, select="left.bias", missing="initialize")
    assert layer.weight.tolist() == [[5.0, 5.0]]


def test_tensor_of_another_shape_begins_anew() -> None:
    module = Branch(net(3))
    module.left.weight.data.fill_(5.0)
    report = module.load_state_dict(
        Branch(net(2)).state_dict(), mismatched="initialize"
    )
    assert (module.left.weight.abs() <= 1).all()
    assert report.mismatched == {"left.weight": "shape (1, 2), expected (1, 3)"}
    assert report.initialized == ("left.weight",)


def test_beginning_anew_follows_the_seed() -> None:
    one, other = Branch(net()), Branch(net())
    for module in (one, other):
        torch.manual_seed(3)
        module.load_state_dict({}, missing="initialize")
    assert torch.equal(one.left.weight, other.left.weight)


def test_attention_begins_anew_without_what_is_below_it() -> None:
    attention = torch.nn.MultiheadAttention(2, 1)
    state = state_of(Branch(attention))
    attention.out_proj.bias.data.fill_(5.0)
    attention.in_proj_weight.data.fill_(5.0)
    del state["left"]["in_proj_weight"]
    Branch(attention).load_state_dict(
        state, missing="initialize", select="left.in_proj_weight"
    )
    assert attention.out_proj.bias.tolist() == [5.0, 5.0]
    assert (attention.in_proj_weight.abs() < 5).all()


def test_lazy_layer_waits_for_its_first_batch() -> None:
    module = Branch(torch.nn.LazyLinear(1))
    module.load_state_dict({}, missing="initialize")
    assert module.left(torch.ones(1, 3)).shape == (1, 1)


class Odd(torch.nn.Module):
    """Has a tensor of its own, and no way to make it anew."""

    def __init__(self) -> None:
        super().__init__()
        self.token = torch.nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(
    ("module", "path"),
    [(Branch(Odd()), "left.token"), (Branch(Leaf()), "left.state.count")],
)
def test_what_cannot_begin_anew_is_refused(module: Branch, path: str) -> None:
    with pytest.raises(StateMismatchError, match="cannot initialize a part") as refused:
        module.load_state_dict({}, missing="initialize")
    assert refused.value.path == path


def test_optimizer_that_is_missing_forgets_what_it_knew() -> None:
    module = trained()
    report = module.load_state_dict({}, select="right", missing="initialize")
    assert module.right.state_dict()["state"] == {}
    assert module.right.param_groups[0]["lr"] == 0.1
    assert report.initialized == ("right",)


def trained(width: int = 2) -> Branch:
    """Build a net with an optimizer that has taken a step."""
    layer = net(width)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.ones(1, width)).sum().backward()
    optimizer.step()
    return Branch(layer, optimizer)


@pytest.mark.parametrize("mode", ["skip", "initialize"])
def test_moments_begin_anew_with_their_parameter(mode: str) -> None:
    module = trained(width=3)
    report = module.load_state_dict(state_of(trained()), mismatched=mode)
    assert set(module.right.state_dict()["state"]) == {1}
    assert "right" in report.loaded
    assert "right.state.0" in report.initialized
    module.left(torch.ones(1, 3)).sum().backward()
    module.right.step()


def test_moments_of_a_tied_parameter_are_kept() -> None:
    one, other = net(), net()
    other.weight = one.weight
    nets = torch.nn.ModuleList([one, other])
    optimizer = torch.optim.SGD(nets.parameters(), lr=0.1, momentum=0.9)
    one(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    module = Branch(nets, optimizer)
    state = state_of(module)
    del state["left"]["1.weight"]
    report = module.load_state_dict(state, missing="skip")
    assert report.initialized == ()
    assert optimizer.state_dict()["state"][0]["momentum_buffer"] is not None


def test_moments_alone_have_to_have_the_shapes_of_the_parameters() -> None:
    state = {"right": state_of(trained())["right"]}
    with pytest.raises(StateMismatchError, match="right: parameter 0 has exp_avg"):
        trained(width=3).load_state_dict(state, select="right")


def test_optimizer_that_knows_nothing_yet_takes_all() -> None:
    layer = net()
    fresh = Branch(layer, torch.optim.AdamW(layer.parameters()))
    state = state_of(fresh)
    del state["left"]["bias"]
    assert trained().load_state_dict(state, strict=False).initialized == ()


def test_optimizer_without_a_state_is_refused_by_itself() -> None:
    state = state_of(trained())
    del state["right"]["state"]
    with pytest.raises(StateMismatchError, match="holds no 'state'"):
        trained().load_state_dict(state)
