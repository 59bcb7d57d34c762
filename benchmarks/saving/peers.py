"""How others save and load the same tensors: PyTorch, safetensors, DCP, Lightning.

Source:
    https://docs.pytorch.org, https://github.com/huggingface/safetensors,
    https://lightning.ai
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp
from torch.utils.data import DataLoader, TensorDataset

__all__ = ["Copy", "Distributed", "Lightning", "Safetensors", "TorchSave", "flushed"]

Tensors = dict[str, torch.Tensor]


def flushed(path: Path) -> None:
    """Make a file, or all in a folder, durable."""
    for each in [path, *path.rglob("*")]:
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Copy:
    """A copy into buffers that are there: what a stall is measured by."""

    name = "copy_ into existing buffers"

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = list(tensors.values())
        self._buffers = [each.clone() for each in self._tensors]

    def __call__(self) -> None:
        """Copy."""
        for buffer, tensor in zip(self._buffers, self._tensors, strict=True):
            buffer.copy_(tensor)


class TorchSave:
    """torch.save, and torch.load of weights only."""

    name = "torch.save"

    def __init__(self, tensors: Tensors, folder: Path) -> None:
        self._tensors = tensors
        self.path = folder / "torch.pt"

    def save(self) -> None:
        """Save."""
        torch.save(self._tensors, self.path)

    def load(self, mmap: bool = False) -> Any:
        """Load, or map."""
        return torch.load(self.path, weights_only=True, mmap=mmap)


class Safetensors:
    """safetensors."""

    name = "safetensors"

    def __init__(self, tensors: Tensors, folder: Path) -> None:
        self._tensors = tensors
        self.path = folder / "all.safetensors"

    def save(self) -> None:
        """Save."""
        safetensors.torch.save_file(self._tensors, self.path)

    def load(self) -> Any:
        """Load."""
        return safetensors.torch.load_file(self.path)

    def load_one(self, name: str) -> torch.Tensor:
        """Load one tensor."""
        with safetensors.safe_open(self.path, "pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
        return tensor


class Distributed:
    """torch.distributed.checkpoint in one process; it synchronizes its files."""

    name = "torch.distributed.checkpoint"

    def __init__(self, tensors: Tensors, folder: Path) -> None:
        self._tensors = tensors
        self.path = folder / "dcp"
        logging.getLogger("torch.distributed").setLevel(logging.ERROR)

    def save(self) -> None:
        """Save."""
        shutil.rmtree(self.path, ignore_errors=True)
        dcp.save(self._tensors, checkpoint_id=self.path)

    def save_async(self) -> tuple[float, float]:
        """Return the seconds until it returned, and until all was written."""
        shutil.rmtree(self.path, ignore_errors=True)
        started_s = time.perf_counter()
        future: Any = dcp.async_save(self._tensors, checkpoint_id=self.path)
        stalled_s = time.perf_counter() - started_s
        future.result()
        return stalled_s, time.perf_counter() - started_s

    def load(self) -> Any:
        """Load into tensors that are there."""
        dcp.load(self._tensors, checkpoint_id=self.path)


class Lightning:
    """Lightning's ``trainer.save_checkpoint``, as its ModelCheckpoint calls it."""

    name = "Lightning"

    def __init__(self, make: Callable[[], torch.nn.Module], folder: Path) -> None:
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        self.path = folder / "lightning.ckpt"
        batches = DataLoader(TensorDataset(torch.rand(1, 64)))
        self._trainer = lightning.Trainer(
            accelerator="cpu",
            barebones=False,
            default_root_dir=folder,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            logger=False,
            max_steps=1,
        )
        self._trainer.fit(_Module(make()), batches)

    def save(self) -> None:
        """Save."""
        self._trainer.save_checkpoint(self.path)

    def load(self) -> Any:
        """Load."""
        return torch.load(self.path, weights_only=True)


class _Module(lightning.LightningModule):
    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = self.net(batch[0]).square().mean()
        return loss

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)
