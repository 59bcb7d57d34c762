"""Modules that the tests of core build: small, and each with one thing to show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

import ptutils


@ptutils.register(name="tests/Leaf")
class Leaf(ptutils.Module):
    """Settings and an own state."""

    def __init__(self, width: int = 1, *, name: str = "leaf") -> None:
        self.width = width
        self.state.count = 0

    def __call__(self) -> int:
        """Count."""
        self.state.count += 1
        return int(self.state.count)


@ptutils.register(name="tests/Branch")
class Branch(ptutils.Module):
    """Children of every kind."""

    def __init__(
        self,
        left: Any = None,
        right: Any = None,
        *,
        many: list[Leaf] | tuple[Leaf, ...] = (),
        named: dict[str, Leaf] | None = None,
    ) -> None:
        self.left = left
        self.right = right
        self.many = many
        self.named = named


@ptutils.register(name="tests/Spread")
class Spread(ptutils.Module):
    """Take any arguments."""

    def __init__(self, first: int, /, second: int = 0, *rest: int, **more: Any) -> None:
        self.given = (first, second, *rest)
        self.more = more


@ptutils.register(name="tests/Typed")
class Typed(ptutils.Module):
    """Take arguments of many types."""

    def __init__(
        self,
        leaf: Leaf | None = None,
        *,
        leaves: list[Leaf] | None = None,
        pair: tuple[Leaf, ...] = (),
        betas: tuple[float, float] = (0.9, 0.999),
        rate: float = 0.1,
        act: Callable[..., Any] | None = None,
        net: torch.nn.Module | None = None,
        either: Leaf | str = "",
    ) -> None:
        self.leaf, self.leaves, self.pair = leaf, leaves, pair
        self.betas, self.rate = betas, rate
        self.act, self.net, self.either = act, net, either


@ptutils.register(name="tests/make_leaf")
def make_leaf(width: int) -> Leaf:
    """Make a leaf by a function."""
    return Leaf(width)


@ptutils.register(name="tests/make_relu")
def make_relu(*, inplace: bool = False) -> torch.nn.Module:
    """Make an object of another library by a function."""
    return torch.nn.ReLU(inplace)


@ptutils.register(name="tests/Echo")
class Echo(ptutils.Callback):
    """React to one trigger."""

    def __init__(self, word: str = "") -> None:
        self.state.heard = 0

    def after_update(self) -> None:
        """Count."""
        self.state.heard += 1


def net(width: int = 2) -> torch.nn.Linear:
    """Build a layer that remembers its settings."""
    built: torch.nn.Linear = ptutils.build(torch.nn.Linear, width, 1)
    return built


def tensors(module: ptutils.Module) -> Iterator[torch.Tensor]:
    """Yield every tensor of every net of a tree."""
    for _, child in module_walk(module):
        if isinstance(child, torch.nn.Module):
            yield from child.state_dict().values()


def module_walk(module: ptutils.Module) -> Iterator[tuple[str, Any]]:
    """Walk a tree."""
    from ptutils.core.tree import walk  # noqa: PLC0415

    return walk(module)
