"""Experiments whose State has a known size, and clocks that watch them being saved."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn, optim

import ptutils
from ptutils import build

__all__ = ["Clock", "Tensors", "frozen", "resnet", "run", "small", "tensors_of"]


class Tensors(nn.Module):
    """Parameters and buffers of given shapes, all of which a step trains."""

    def __init__(
        self, shapes: Sequence[tuple[int, ...]], buffers: Sequence[tuple[int, ...]] = ()
    ) -> None:
        super().__init__()
        self.weights = nn.ParameterList(torch.randn(shape) for shape in shapes)
        for number, shape in enumerate(buffers):
            value = torch.rand(shape) if shape else torch.tensor(number)
            self.register_buffer(f"buffer{number}", value)
        largest = max(each.numel() for each in self.weights)
        self._noise = torch.randn(largest + len(shapes))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return ten logits per sample; no two gradients are alike, or even."""
        total = torch.zeros(())
        for number, each in enumerate(self.weights):
            if each.requires_grad:
                noise = self._noise[number : number + each.numel()]
                total = total + torch.dot(each.flatten(), noise) / each.numel()
        return inputs.flatten(1)[:, :10] * total


def resnet() -> Tensors:
    """Return the 161 parameters and 159 buffers of ResNet-50: 102 MB."""
    norms = [64]
    shapes: list[tuple[int, ...]] = [(64, 3, 7, 7), (64,), (64,)]
    inputs = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            convolutions = [
                (width, inputs, 1),
                (width, width, 3),
                (4 * width, width, 1),
            ]
            if not block:
                convolutions.append((4 * width, inputs, 1))
            for outputs, channels, size in convolutions:
                shapes += [(outputs, channels, size, size), (outputs,), (outputs,)]
                norms.append(outputs)
            inputs = 4 * width
    buffers = [shape for size in norms for shape in ((size,), (size,), ())]
    return Tensors([*shapes, (1000, 2048), (1000,)], buffers)


def small() -> Tensors:
    """Return parameters that are 100 KB with their moments."""
    return Tensors([(64, 100), (100,), (100, 16), (16,)])


def frozen() -> Tensors:
    """Return 20 MB of parameters, of which 19 never change; 1 MB with moments does."""
    found = Tensors([(50, 100_000), (28, 3_000)])
    found.weights[0].requires_grad_(False)
    return found


@ptutils.register
class Clock(ptutils.Callback):
    """Notes how long steps take, and waits for what is being saved between two steps.

    Args:
        every: After how many steps a checkpoint is taken.
        waits: How many steps are trained beside the writing, before it is waited for.
    """

    observes = True
    latest: Clock

    def __init__(self, every: int, waits: int = 0) -> None:
        self._every = every
        self._waits = waits
        self._ended_s = self._started_s = time.perf_counter()
        self.gaps: dict[int, float] = {}
        self.steps: dict[int, float] = {}
        self.flushes: dict[int, float] = {}
        type(self).latest = self

    def start_of_training_step(self, step: int, session: Any) -> None:
        """Note the time since the last step, then wait if it is time."""
        now_s = time.perf_counter()
        self.gaps[step] = now_s - self._ended_s
        if step >= self._every and step % self._every == self._waits:
            session.flush()
            self.flushes[step - self._waits] = time.perf_counter() - now_s
        self._started_s = time.perf_counter()

    def end_of_training_step(self, step: int) -> None:
        """Note the time of the step."""
        self._ended_s = time.perf_counter()
        self.steps[step] = self._ended_s - self._started_s


def run(
    net: nn.Module,
    path: Path,
    *,
    steps: int,
    every: int | None,
    callbacks: Sequence[Any] = (),
) -> Any:
    """Train with Adam on digits, and return the Session.

    Args:
        net: Whose parameters that want it are trained.
        path: Of the database.
        steps: How many.
        every: After how many steps a checkpoint is taken; None for never.
        callbacks: Of the trainer.
    """
    optimizer = build(optim.Adam, lr=1e-3, fused=True)
    model = ptutils.Model(
        net, criterion=build(nn.CrossEntropyLoss), optimizer=optimizer
    )
    data = ptutils.DataProvider(
        {"train": ptutils.Digits("train")},
        {"train": ptutils.DataLoader(batch_size=32, shuffle=True)},
    )
    schedule = ptutils.Schedule(
        f"{steps} steps",
        validate=None,
        checkpoint=f"{every} steps" if every else None,
    )
    session = ptutils.Session(
        ptutils.Trainer(model, callbacks=list(callbacks)),
        dataprovider=data,
        dbinterface=str(path),
        schedule=schedule,
        progress=False,
        source=False,
    )
    session.run()
    return session


def tensors_of(net: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of a net and of Adam by name, after one step."""
    optimizer = optim.Adam(net.parameters(), lr=1e-3, fused=True)
    net(torch.rand(32, 64)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    moments = {
        f"optimizer.{number}.{name}": tensor
        for number, state in optimizer.state_dict()["state"].items()
        for name, tensor in state.items()
    }
    return {**net.state_dict(), **moments}
