"""All of a state is assigned, or nothing: no failure leaves a trace."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch

from ptutils.core.backend import load_backend
from ptutils.errors import StateMismatchError
from ptutils.meta.codec import encode
from tests.core.samples import Branch, Leaf, net


class InPlace:
    """Takes over its state piece by piece, and may break off in the middle."""

    def __init__(self) -> None:
        self.held = {name: torch.zeros(2) for name in "abc"}

    def state_dict(self) -> dict[str, torch.Tensor]:
        return dict(self.held)

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        for name, value in state.items():
            torch.rand(1)
            self.held[name].copy_(value)


class Stubborn(torch.nn.Module):
    """A net that judges a part of its state for itself."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2), persistent=False)
        self.extra = 0

    def get_extra_state(self) -> int:
        return self.extra

    def set_extra_state(self, state: int) -> None:
        torch.rand(1)
        if state < 0:
            raise ValueError("below zero")
        self.extra = state


class Reacting(Leaf):
    """Refuses a count when all is loaded."""

    def _after_load(self) -> None:
        torch.rand(1)
        if self.state.count < 0:
            raise StateMismatchError("cannot count from below zero")


class Fading(torch.nn.Linear):
    """Cannot be initialized, though it says so."""

    def reset_parameters(self) -> None:
        with torch.no_grad():
            self.weight.normal_()
        if self.bias is not None:
            raise RuntimeError("no bias, please")


def everything(module: Any) -> Any:
    """Return all that a failure could have changed, in stored form."""
    held = copy.deepcopy([module.state_dict(), load_backend().random_state()])
    stored = encode(held)
    return stored.document, stored.types, [bytes(item) for item in stored.artifacts]


def tree() -> Branch:
    layer = net()
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    many: Any = [InPlace(), Stubborn(), Reacting()]
    return Branch(layer, optimizer, many=many)


def other_state() -> Any:
    module = tree()
    module.many[0].held["b"] += 3  # type: ignore[attr-defined]
    module.many[1].mean += 3  # type: ignore[attr-defined]
    module.many[1].extra = 5  # type: ignore[attr-defined]
    module.many[2].state.count = 7
    return copy.deepcopy(module.state_dict())


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("many/0/c", torch.ones(9), "RuntimeError"),
        ("many/1/_extra_state", -1, "ValueError: below zero"),
        ("many/2/state/count", -1, "cannot count"),
    ],
)
def test_failure_in_the_middle_leaves_everything_as_it_was(
    path: str, value: Any, text: str
) -> None:
    state = node = other_state()
    *above, last = path.split("/")
    for name in above:
        node = node[name]
    node[last] = value
    module = tree()
    before = everything(module)
    with pytest.raises(StateMismatchError, match=text):
        module.load_state_dict(state)
    assert everything(module) == before


def test_state_that_nobody_refuses_comes_in_whole() -> None:
    module = tree()
    state = other_state()
    module.load_state_dict(state)
    assert torch.equal(module.left.weight, state["left"]["weight"])
    assert module.many[0].held["b"].tolist() == [3, 3]  # type: ignore[attr-defined]
    assert module.many[1].extra == 5  # type: ignore[attr-defined]
    assert module.many[1].mean.tolist() == [3, 3]  # type: ignore[attr-defined]


def test_failure_to_initialize_leaves_everything_as_it_was() -> None:
    module = Branch(Fading(2, 2, bias=False), net())
    module.left.bias = torch.nn.Parameter(torch.ones(2))
    module.right.weight.data.fill_(5.0)
    before = everything(module)
    with pytest.raises(StateMismatchError, match="no bias, please") as refused:
        module.load_state_dict({}, missing="initialize")
    assert refused.value.path == "left"
    assert everything(module) == before


def test_forgotten_moments_are_remembered_when_something_else_fails() -> None:
    state = other_state()
    del state["right"]
    state["many"]["0"]["c"] = torch.ones(9)
    module = tree()
    before = everything(module)
    with pytest.raises(StateMismatchError, match="RuntimeError"):
        module.load_state_dict(state, missing="initialize")
    assert everything(module) == before


def test_lazy_layer_beside_a_failure_may_take_its_shape() -> None:
    many: Any = [torch.nn.LazyLinear(1), Reacting()]
    state = Branch(many=[net(3), Reacting()]).state_dict()  # type: ignore[list-item]
    state["many"]["1"]["state"]["count"] = -1
    with pytest.raises(StateMismatchError, match="cannot count"):
        Branch(many=many).load_state_dict(state)


def test_warning_tells_all_paths_at_once(caplog: pytest.LogCaptureFixture) -> None:
    state = {"left": {"weight": torch.ones(1, 9)}, "extra": 1}
    with caplog.at_level(logging.WARNING, logger="ptutils"):
        Branch(net()).load_state_dict(
            state, missing="warn", unexpected="skip", mismatched="warn"
        )
    (record,) = caplog.records
    assert record.getMessage() == (
        "this Branch was loaded in part: missing 1: left.bias; "
        "mismatched 1: left.weight"
    )
