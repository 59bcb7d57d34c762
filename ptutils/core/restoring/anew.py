"""Beginning anew: the part of a tree that a state gives nothing for is initialized."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ptutils.core import tree
from ptutils.core.restoring.fit import is_optimizer, shape_of
from ptutils.core.restoring.plan import Slot
from ptutils.errors import StateMismatchError

__all__ = ["Anew", "Layer", "plan_anew"]


@dataclass(kw_only=True)
class Layer:
    """One layer of a net, some of whose own tensors begin anew.

    Attributes:
        path: In the tree.
        layer: Has a ``reset_parameters`` of its own.
        names: Of those tensors.
    """

    path: str
    layer: Any
    names: set[str] = field(default_factory=set)

    def reset(self) -> None:
        """Initialize the tensors; all others of the layer stay as they are."""
        before = self.held()
        _reset_of(self.layer)()
        for name, (tensor, value) in before.items():
            if name not in self.names:
                tensor.copy_(value)

    def held(self) -> dict[str, tuple[Any, Any]]:
        """Return every tensor of the layer, and below it, beside a copy of it."""
        named = [*self.layer.named_parameters(), *self.layer.named_buffers()]
        return {
            name: (tensor.detach(), tensor.detach().clone())
            for name, tensor in named
            if shape_of(tensor) is not None
        }


@dataclass(frozen=True, kw_only=True)
class Anew:
    """What of a tree begins anew: layers of nets, and optimizers as a whole."""

    layers: list[Layer]
    optimizers: dict[str, Any]


def plan_anew(module: Any, slots: Mapping[str, Slot | None]) -> Anew:
    """Plan how ``slots`` begin anew; nothing is changed yet.

    Args:
        module: The tree, for the message.
        slots: By path; None for what is part of no net and no optimizer.

    Raises:
        StateMismatchError: If some of them cannot: only the own tensors of a layer
            with ``reset_parameters`` can, and optimizers.
    """
    layers: dict[str, Layer] = {}
    optimizers: dict[str, Any] = {}
    lost: list[str] = []
    for path, slot in slots.items():
        if (found := _layer_of(path, slot)) is not None:
            layers.setdefault(found.path, found).names |= found.names
        elif slot is not None and is_optimizer(slot.holder):
            optimizers[path] = slot.holder
        else:
            lost.append(path)
    if lost:
        raise StateMismatchError(
            f"cannot initialize a part of this {type(module).__qualname__}",
            path=lost[0],
            expected="tensors of layers with reset_parameters(), or an optimizer",
            got=", ".join(lost),
            fix='leave it as it is with "skip", leave it out with select=, or write '
            "reset_parameters()",
        )
    return Anew(layers=list(layers.values()), optimizers=optimizers)


def _layer_of(path: str, slot: Slot | None) -> Layer | None:
    """Return the layer that has a tensor of a net as its own, if it can begin anew."""
    if slot is None or not tree.is_net(slot.holder):
        return None
    above, _, name = slot.name.rpartition(".")
    layer = dict(slot.holder.named_modules(remove_duplicate=False)).get(above)
    own = [] if layer is None else [*layer._parameters, *layer._buffers]
    if name not in own or _reset_of(layer) is None:
        return None
    return Layer(path=path.removesuffix(f".{name}"), layer=layer, names={name})


def _reset_of(layer: Any) -> Any:
    # Attention of torch has it under a private name.
    public = getattr(layer, "reset_parameters", None)
    return public or getattr(layer, "_reset_parameters", None)
