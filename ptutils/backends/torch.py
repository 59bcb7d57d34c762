"""PyTorch: the one file where training touches tensors, devices and streams."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from ptutils.core.model import Model
from ptutils.errors import CallbackError, ConfigError, DataError, nearest
from ptutils.meta.codec.tensors import storage_key
from ptutils.meta.values import Value

__all__ = ["TorchBackend"]


class TorchBackend:
    """Every operation on arrays, gradients, devices and random state, for PyTorch."""

    def seed(self, seed: int) -> None:
        """Seed the global streams of Python, numpy (its low 32 bits) and torch."""
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)

    def random_state(self) -> dict[str, Value]:
        """Return the states of Python's, numpy's and torch's global streams."""
        state = {
            "python": random.getstate(),
            "numpy": np.random.get_state(legacy=False),
            "torch": torch.get_rng_state(),
        }
        if torch.cuda.is_available():
            state["cuda"] = torch.cuda.get_rng_state_all()
        return state

    def set_random_state(self, state: Mapping[str, Value]) -> None:
        """Set the global streams; CUDA's only where there are as many devices."""
        random.setstate(state["python"])
        np.random.set_state(dict(state["numpy"]))
        torch.set_rng_state(state["torch"])
        streams = state.get("cuda", [])
        if streams and len(streams) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(streams)

    def accelerators(self) -> list[str]:
        """Return the names of the GPUs, if this process has begun to use them.

        To ask a driver that is not in use yet would take time and memory of a GPU.
        """
        if not torch.cuda.is_initialized():
            return []
        count = torch.cuda.device_count()
        return [torch.cuda.get_device_name(index) for index in range(count)]

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
        """Move a module to ``device``, in place; return it. A function stays."""
        return module.to(device) if hasattr(module, "to") else module

    def to_device(self, batch: Value, device: Any) -> Value:
        """Return a batch on ``device``, without waiting where memory is pinned."""
        if isinstance(batch, torch.Tensor):
            return batch.to(device, non_blocking=True)
        if isinstance(batch, tuple) and hasattr(batch, "_fields"):
            return type(batch)(*(self.to_device(item, device) for item in batch))
        if isinstance(batch, tuple | list):
            return type(batch)(self.to_device(item, device) for item in batch)
        if isinstance(batch, dict):
            return {key: self.to_device(item, device) for key, item in batch.items()}
        return batch

    def is_local(self, device: Any) -> bool:
        """Tell whether ``device`` is the CPU, where loaders put their batches."""
        return bool(device.type == "cpu")

    def gradient(self, model: Model, batch: Value) -> tuple[Value, Value]:
        """Go forward and backward; return the outputs and the detached loss.

        Raises:
            DataError: If the batch is no pair.
            ConfigError: If the criterion returns anything but one number.
        """
        model.optimizer.zero_grad()
        if type(batch) not in _PAIRS:
            _require_pair(batch)
        try:
            inputs, targets = batch
        except (TypeError, ValueError) as error:
            raise _not_a_pair(batch) from error
        outputs = model.forward(inputs)
        loss: torch.Tensor = model.criterion(outputs, targets)
        try:
            loss.backward()
        except (AttributeError, RuntimeError):  # Looked at then: steps are counted.
            _require_loss(loss)
            raise
        return outputs, loss.detach()

    def update(self, model: Model) -> None:
        """Take one step of the optimizer."""
        model.optimizer.step()

    def updated(self, model: Model) -> Collection[object]:
        """Return the keys of the storages of what the optimizer changes."""
        optimizer = model.optimizer
        tensors = [each for group in optimizer.param_groups for each in group["params"]]
        for state in optimizer.state.values():
            if isinstance(state, dict):
                tensors += state.values()
        return {
            storage_key(tensor.untyped_storage())
            for tensor in tensors
            if isinstance(tensor, torch.Tensor) and tensor.layout is torch.strided
        }

    def schedule(self, model: Model) -> None:
        """Take one step of the scheduler."""
        # The optimizer has stepped, if perhaps in the process that this one goes on
        # from; torch knows of its own and would warn.
        model.optimizer._opt_called = True
        model.scheduler.step()

    @torch.no_grad()
    def evaluate(self, model: Model, batch: Value) -> tuple[Value, Value, int]:
        """Go forward without gradients; return outputs, loss and number of samples.

        Raises:
            DataError: If the batch is no pair.
            ConfigError: If the criterion returns anything but one number.
        """
        if type(batch) not in _PAIRS:
            _require_pair(batch)
        try:
            inputs, targets = batch
        except (TypeError, ValueError) as error:
            raise _not_a_pair(batch) from error
        outputs = model.forward(inputs)
        loss = model.criterion(outputs, targets)
        _require_loss(loss)
        return outputs, loss, len(targets)

    def gradients(self, model: Model) -> Mapping[str, Value]:
        """Return a live view of the gradients by parameter name."""
        return _Gradients(model)

    def set_gradients(self, model: Model, gradients: Mapping[str, Value]) -> None:
        """Put other gradients in place of those that a live view shows.

        Raises:
            CallbackError: If a name is no parameter's, or a shape another one.
        """
        parameters = dict(model.net.named_parameters())
        for name, gradient in gradients.items():
            if name not in parameters or parameters[name].shape != gradient.shape:
                guess = nearest(name, parameters)
                raise CallbackError(
                    f"cannot set the gradient of {name!r}",
                    expected="the names and shapes of the net's parameters",
                    got=f"shape {tuple(gradient.shape)}",
                    fix=f"did you mean {guess!r}?" if guess not in ("", name) else "",
                )
            parameters[name].grad = gradient

    def is_finite(self, value: Value) -> bool:
        """Tell whether every element of a number or tensor is finite."""
        return bool(torch.isfinite(torch.as_tensor(value)).all())


class _Gradients(Mapping[str, Value]):
    """The gradients of a model's parameters, read when asked for."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getitem__(self, name: str) -> Value:
        gradient = dict(self._model.net.named_parameters())[name].grad
        if gradient is None:
            raise KeyError(name)
        return gradient

    def __iter__(self) -> Iterator[str]:
        return (
            name
            for name, parameter in self._model.net.named_parameters()
            if parameter.grad is not None
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)


_PAIRS = (tuple, list)


def _require_pair(batch: Value) -> None:
    """Refuse what unpacks into two that are no inputs and targets: rows, or keys."""
    if isinstance(batch, torch.Tensor | Mapping | str):
        raise _not_a_pair(batch)


def _require_loss(loss: Value) -> None:
    if isinstance(loss, torch.Tensor) and loss.numel() == 1:
        return
    is_tensor = isinstance(loss, torch.Tensor)
    raise ConfigError(
        "cannot train with what the criterion returns",
        path="trainer.model.criterion",
        expected="a loss: a tensor of shape ()",
        got=f"a tensor of shape {tuple(loss.shape)}" if is_tensor else _kind(loss),
        fix="take its mean, with reduction='mean' say"
        if is_tensor
        else "return one tensor, say the sum of all losses",
    )


def _not_a_pair(batch: Value) -> DataError:
    return DataError(
        "cannot go forward with this batch",
        expected="a pair: inputs, targets",
        got=_kind(batch),
        fix="let the dataset give pairs, or replace the stages Gradient and Loss",
    )


def _kind(batch: Value) -> str:
    if isinstance(batch, Mapping):
        return f"a dict of {', '.join(map(str, batch))}"
    name = type(batch).__name__
    return f"{name} of {len(batch)}" if isinstance(batch, tuple | list) else name


def _fastest() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
