"""PyTorch: the one file where the training loop touches tensors, devices and streams."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ptutils.core.model import Model
from ptutils.errors import ConfigError
from ptutils.meta.values import Value

__all__ = ["TorchBackend"]


class TorchBackend:
    """Every operation on arrays, gradients, devices and random state, for PyTorch."""

    def seed(self, seed: int) -> None:
        """Seed the global streams of Python, numpy (its low 32 bits) and torch."""
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - the stream that users draw from
        torch.manual_seed(seed)

    def random_state(self) -> dict[str, Value]:
        """Return the states of Python's, numpy's and torch's global streams."""
        state = {
            "python": random.getstate(),
            "numpy": np.random.get_state(legacy=False),  # noqa: NPY002
            "torch": torch.get_rng_state(),
        }
        if torch.cuda.is_available():
            state["cuda"] = torch.cuda.get_rng_state_all()
        return state

    def set_random_state(self, state: Mapping[str, Value]) -> None:
        """Set the global streams; CUDA's only where there are as many devices."""
        random.setstate(state["python"])
        np.random.set_state(dict(state["numpy"]))  # noqa: NPY002
        torch.set_rng_state(state["torch"])
        streams = state.get("cuda", [])
        if streams and len(streams) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(streams)

    def device(self, name: str) -> torch.device:
        """Return the device called ``name``; ``auto`` is CUDA, else MPS, else the CPU.

        Raises:
            ConfigError: If there is no such device here.
        """
        if name == "auto":
            name = _fastest()
        try:
            device = torch.device(name)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"cannot use the device {name!r}",
                expected="auto, cpu, or a device of this machine such as cuda:0",
                got=str(error).splitlines()[0],
                fix="set device: auto",
            ) from error
        return device

    def place(self, module: Any, device: Any) -> Any:
        """Move a module to ``device``, in place; return it."""
        return module.to(device)

    def to_device(self, batch: Value, device: Any) -> Value:
        """Return a batch on ``device``, without waiting where memory is pinned."""
        if isinstance(batch, torch.Tensor):
            return batch.to(device, non_blocking=True)
        if isinstance(batch, tuple | list):
            return type(batch)(self.to_device(item, device) for item in batch)
        if isinstance(batch, dict):
            return {key: self.to_device(item, device) for key, item in batch.items()}
        return batch

    def is_local(self, device: Any) -> bool:
        """Tell whether ``device`` is the CPU, where loaders put their batches."""
        return bool(device.type == "cpu")

    def gradient(self, model: Model, batch: Value) -> tuple[Value, Value]:
        """Go forward and backward; return the outputs and the detached loss."""
        model.optimizer.zero_grad()
        inputs, targets = batch
        outputs = model.forward(inputs)
        loss: torch.Tensor = model.criterion(outputs, targets)
        loss.backward()
        return outputs, loss.detach()

    def update(self, model: Model) -> None:
        """Take one step of the optimizer."""
        model.optimizer.step()

    @torch.no_grad()
    def evaluate(self, model: Model, batch: Value) -> tuple[Value, Value, int]:
        """Go forward without gradients; return outputs, loss and number of samples."""
        inputs, targets = batch
        outputs = model.forward(inputs)
        return outputs, model.criterion(outputs, targets), len(targets)

    def gradients(self, model: Model) -> Mapping[str, Value]:
        """Return a live view of the gradients by parameter name."""
        return _Gradients(model)

    def is_finite(self, value: Value) -> bool:
        """Tell whether every element of a number or tensor is finite."""
        return bool(torch.isfinite(torch.as_tensor(value)).all())


class _Gradients(Mapping[str, Value]):
    """The gradients of a model's parameters, read when asked for."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getitem__(self, name: str) -> Value:
        return dict(self._model.net.named_parameters())[name].grad

    def __iter__(self) -> Iterator[str]:
        return (
            name
            for name, parameter in self._model.net.named_parameters()
            if parameter.grad is not None
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _fastest() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
