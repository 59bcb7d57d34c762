"""A folder with a run in it, made without training anything."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import torch

from ptutils.db.files.interface import FileInterface
from tests.core.stored import Writer


class Recorded:
    """A folder in which a run was recorded: three steps and a checkpoint."""

    def __init__(self, path: Path, **state: Any) -> None:
        self.db = FileInterface(str(path))
        self.writer = Writer(self.db)
        self.run_id = self.writer.create()
        self.writer.record(1, 2, 3)
        self.state = state or {"net": {"0.weight": torch.arange(6.0).reshape(2, 3)}}
        self.writer.save(3, **self.state)
        self.path = path
        self.folder = path / "runs" / self.run_id
        (self.json,) = (self.folder / "checkpoints").glob("*.json")
        self.tensors = self.json.with_suffix(".safetensors")

    def again(self) -> FileInterface:
        """Open the folder as another process would."""
        return FileInterface(str(self.path))


def hard_state() -> dict[str, Any]:
    """Return a state with what is hard about tensors."""
    base = torch.arange(12.0).reshape(3, 4)
    return {
        "tied": [base, base],
        "view": base[:, 1],
        "transposed": torch.ones(2, 3).t(),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "none": torch.empty(0, 4),
        "random": torch.get_rng_state(),
        "large": torch.arange(400_000.0),
        "again": torch.arange(400_000.0),
        "scalar": torch.tensor(1.5),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }


def odd_nan() -> float:
    """Return a NaN whose bits are not the usual ones."""
    value: float = struct.unpack(">d", bytes.fromhex("7ff80000000000aa"))[0]
    assert math.isnan(value)
    return value
