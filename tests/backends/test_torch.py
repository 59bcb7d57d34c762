"""Everything that training does to tensors, devices and random streams."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import ptutils
from ptutils.backends.torch import TorchBackend
from ptutils.core.backend import load_backend
from ptutils.errors import CallbackError, ConfigError, DataError
from tests.core.training import model

BACKEND = TorchBackend()
META = torch.device("meta")


class Pair(NamedTuple):
    inputs: torch.Tensor
    targets: torch.Tensor


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), torch.rand(()).item()  # noqa: S311


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ones(2, 3), torch.zeros(2, 1)


def linear(**changes: Any) -> Any:
    return model(net=torch.nn.Linear(3, 1), **changes)


def test_it_is_the_default_backend() -> None:
    assert type(load_backend()) is TorchBackend


def test_equal_seeds_give_equal_numbers_in_all_streams() -> None:
    BACKEND.seed(2**40)
    first = draw()
    ptutils.seed(2**40)
    assert draw() == first


def test_random_state_brings_all_streams_back() -> None:
    state = BACKEND.random_state()
    first = draw()
    BACKEND.set_random_state(state)
    assert draw() == first


def test_states_of_gpus_that_are_not_there_are_passed_over() -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    state = BACKEND.random_state()
    assert "cuda" not in state
    first = draw()
    BACKEND.set_random_state({**state, "cuda": [torch.zeros(16, dtype=torch.uint8)]})
    assert draw() == first


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_random_state_brings_the_streams_of_gpus_back() -> None:
    state = BACKEND.random_state()
    first = torch.rand(3, device="cuda")
    BACKEND.set_random_state(state)
    assert torch.equal(torch.rand(3, device="cuda"), first)


def test_gpus_that_nobody_uses_are_not_asked_for() -> None:
    if not torch.cuda.is_initialized():
        assert BACKEND.accelerators() == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpus_in_use_are_known_by_name() -> None:
    torch.empty(1, device="cuda")
    assert BACKEND.accelerators()[0] == torch.cuda.get_device_name(0)


def test_device_by_name() -> None:
    assert BACKEND.device("cpu") == torch.device("cpu")


def test_automatic_device_is_there() -> None:
    torch.empty(1, device=BACKEND.device("auto"))


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:x"])
def test_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot use the device '{name}'"):
        BACKEND.device(name)


def test_cpu_is_where_batches_are_already() -> None:
    assert BACKEND.is_local(torch.device("cpu"))
    assert not BACKEND.is_local(META)


def test_nets_are_placed_and_functions_stay() -> None:
    net = torch.nn.Linear(3, 1)
    assert BACKEND.place(net, META) is net
    assert net.weight.device == META
    assert BACKEND.place(len, META) is len
    assert BACKEND.place(None, META) is None


@pytest.mark.parametrize(
    "batch", [pair(), list(pair()), {"inputs": pair()[0], "deep": {"more": pair()}}]
)
def test_batches_of_any_shape_are_moved(batch: Any) -> None:
    moved = BACKEND.to_device(batch, META)
    assert type(moved) is type(batch)
    assert all(tensor.device == META for tensor in tensors(moved))


def tensors(batch: Any) -> list[torch.Tensor]:
    if isinstance(batch, torch.Tensor):
        return [batch]
    items = batch.values() if isinstance(batch, dict) else batch
    return [tensor for item in items for tensor in tensors(item)]


def test_named_tuples_are_moved_as_such() -> None:
    moved = BACKEND.to_device(Pair(*pair()), META)
    assert type(moved) is Pair
    assert moved.targets.device == META


def test_what_is_no_tensor_stays_in_a_batch() -> None:
    assert BACKEND.to_device(["names", 3], META) == ["names", 3]


def test_gradient_leaves_gradients_and_returns_a_detached_loss() -> None:
    made = linear()
    outputs, loss = BACKEND.gradient(made, pair())
    assert outputs.shape == (2, 1)
    assert not loss.requires_grad
    assert made.net.weight.grad is not None


def test_gradients_of_earlier_steps_do_not_add_up() -> None:
    made = linear()
    BACKEND.gradient(made, pair())
    first = made.net.weight.grad.clone()
    BACKEND.gradient(made, pair())
    assert torch.equal(made.net.weight.grad, first)


@pytest.mark.parametrize(
    ("batch", "got"),
    [
        ((torch.ones(1),), "tuple of 1"),
        ([torch.ones(1)] * 3, "list of 3"),
        ({"a": 1, "b": 2, "c": 3}, "a dict of a, b, c"),
        ({"x": 1, "y": 2}, "a dict of x, y"),
        (torch.ones(2, 3), "Tensor"),
        ("ab", "str"),
        (3, "int"),
    ],
)
@pytest.mark.parametrize("verb", ["gradient", "evaluate"])
def test_batch_that_is_no_pair_is_refused(verb: str, batch: Any, got: str) -> None:
    with pytest.raises(DataError, match="cannot go forward with this batch") as caught:
        getattr(BACKEND, verb)(linear(), batch)
    assert f"got:      {got}\n" in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "got"),
    [
        ({"ce": torch.ones(())}, "a dict of ce\n"),
        (torch.ones(2, 1), "a tensor of shape (2, 1)\n"),
        (0.5, "float\n"),
    ],
)
@pytest.mark.parametrize("verb", ["gradient", "evaluate"])
def test_criterion_that_returns_no_loss_is_refused(
    verb: str, returned: Any, got: str
) -> None:
    made = linear(criterion=lambda outputs, targets: returned)
    with pytest.raises(ConfigError, match="what the criterion returns") as caught:
        getattr(BACKEND, verb)(made, pair())
    assert got in str(caught.value)


def test_fault_of_going_backward_stays_what_it_is() -> None:
    made = linear(criterion=lambda outputs, targets: targets.mean())
    with pytest.raises(RuntimeError, match="does not require grad"):
        BACKEND.gradient(made, pair())


def test_update_moves_the_parameters() -> None:
    made = linear()
    BACKEND.gradient(made, pair())
    before = made.net.weight.detach().clone()
    BACKEND.update(made)
    assert not torch.equal(made.net.weight, before)


def test_schedule_changes_the_learning_rate() -> None:
    scheduler = ptutils.build(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)
    made = linear(scheduler=scheduler)
    BACKEND.schedule(made)
    assert made.optimizer.param_groups[0]["lr"] == 0.005


def test_evaluation_leaves_no_graph() -> None:
    outputs, loss, count = BACKEND.evaluate(linear(), pair())
    assert (outputs.requires_grad, loss.requires_grad, count) == (False, False, 2)


def test_gradients_are_a_live_view() -> None:
    made = linear()
    gradients = BACKEND.gradients(made)
    assert len(gradients) == 0
    BACKEND.gradient(made, pair())
    assert list(gradients) == ["weight", "bias"]
    assert gradients["bias"] is made.net.bias.grad


def test_gradient_that_is_not_there_is_missing() -> None:
    gradients = BACKEND.gradients(linear())
    with pytest.raises(KeyError, match="weight"):
        _ = gradients["weight"]
    assert gradients.get("weight") is None


def test_gradients_are_replaced() -> None:
    made = linear()
    BACKEND.set_gradients(made, {"bias": torch.ones(1)})
    assert made.net.bias.grad == 1.0


@pytest.mark.parametrize(
    ("name", "shape", "fix"),
    [
        ("bais", (1,), "did you mean 'bias'?"),
        ("bias", (2,), "shape (2,)"),
        ("x", (), "x"),
    ],
)
def test_gradients_that_do_not_fit_are_refused(
    name: str, shape: tuple[int, ...], fix: str
) -> None:
    with pytest.raises(CallbackError, match=f"the gradient of '{name}'") as caught:
        BACKEND.set_gradients(linear(), {name: torch.zeros(shape)})
    assert fix in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.0, True), (float("nan"), False), (torch.tensor([1.0, torch.inf]), False)],
)
def test_numbers_and_tensors_are_finite_or_not(value: Any, expected: bool) -> None:
    assert BACKEND.is_finite(value) is expected
