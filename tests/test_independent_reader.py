"""What docs/document-format.md says is enough to read a State without ptutils."""

from __future__ import annotations

import ast
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ptutils
from ptutils.core.dbinterface import DBInterface
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.testing.values import TENSOR_DTYPES
from tests import reader
from tests.core.experiment import config
from tests.core.stored import Writer
from tests.reader import newest_state

LIBRARIES = {"base64", "json", "re", "sqlite3", "zlib"}
LIBRARIES |= {"blake3", "numpy", "zstandard"}


def tensors_in(value: Any, *path: Any) -> dict[Any, torch.Tensor]:
    """Return the tensors in a value by path, without following cycles."""
    if isinstance(value, torch.Tensor):
        return {path: value}
    pairs: Any = enumerate(value) if isinstance(value, list | tuple) else ()
    if isinstance(value, dict):
        pairs = value.items()
    below = [tensors_in(each, *path, key) for key, each in pairs if key != "cycle"]
    return {name: tensor for found in below for name, tensor in found.items()}


def storage_of(tensor: torch.Tensor) -> np.ndarray:
    """Return the bytes that a tensor looks at, which end where its storage does."""
    whole = tensor.untyped_storage()
    return torch.empty(0, dtype=torch.uint8).set_(whole).numpy()


def elements_of(tensor: torch.Tensor) -> np.ndarray:
    """Return the elements of a tensor as bytes, whatever its dtype."""
    size = tensor.element_size()
    strides = [size * stride for stride in tensor.stride()]
    start = size * int(tensor.storage_offset())
    whole = storage_of(tensor)
    return np.ndarray(tensor.shape, f"V{size}", whole, start, strides)


def assert_read_alike(db: DBInterface) -> int:
    """Compare what the reader finds with what ptutils loads; return how many."""
    *_, run = db.runs.find()
    expected = tensors_in(run.checkpoints[-1].state)
    found = newest_state(db.url)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        dtype, shape, strides, offset, at, elements = found[name]
        assert f"torch.{dtype}" == str(tensor.dtype)
        assert (shape, strides) == (list(tensor.shape), list(tensor.stride()))
        assert at is None or offset == tensor.storage_offset()
        assert elements.tobytes() == elements_of(tensor).tobytes()
    for one, other in product(expected, repeat=2):
        first, second = expected[one], expected[other]
        assert (found[one] is found[other]) == (first is second)
        if found[one][4] is not None and found[other][4] is not None:
            is_shared = (
                first.untyped_storage()._cdata == second.untyped_storage()._cdata
            )
            assert (found[one][4] == found[other][4]) == is_shared
    return len(expected)


def test_reader_is_short_and_uses_nothing_of_ptutils() -> None:
    source = Path(reader.__file__).read_text()
    names: set[str | None] = set()
    for each in ast.walk(ast.parse(source)):
        if isinstance(each, ast.Import):
            names |= {alias.name for alias in each.names}
        elif isinstance(each, ast.ImportFrom):
            names.add(each.module)
    assert names == LIBRARIES
    assert sum(bool(line.strip()) for line in source.splitlines()) <= 60


def test_reader_reads_what_training_left(tmp_path: Path) -> None:
    url = str(tmp_path / "runs.db")
    ptutils.Session.from_meta(config=config(dbinterface=url, source=False)).run()
    with ptutils.connect(url) as db:
        assert assert_read_alike(db) == 28
    assert not Path(f"{url}.artifacts").exists()


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_reader_reads_packs(tmp_path: Path) -> None:
    with SQLiteInterface(str(tmp_path / "runs.db")) as db:
        writer = Writer(db)
        writer.create()
        writer.save(1, old=torch.zeros(1_000_000))
        writer.save(2, **hard_state())
        assert assert_read_alike(db) == 9 + len(TENSOR_DTYPES)
    assert len(list((tmp_path / "runs.db.artifacts").iterdir())) == 2


def test_reader_reads_slices_in_compressed_packs(tmp_path: Path) -> None:
    with SQLiteInterface(str(tmp_path / "runs.db"), compression="zstd") as db:
        writer = Writer(db)
        writer.create()
        rows = torch.zeros(70, 1 << 18)
        rows[::3, ::7] = 1.5
        noise = torch.randint(256, (50_000,), dtype=torch.uint8)
        writer.save(1, rows=rows, noise=noise, one=rows[3])
        assert assert_read_alike(db) == 3
    ends = {path.name[64:] for path in (tmp_path / "runs.db.artifacts").iterdir()}
    assert ends == {".safetensors", ".zst.safetensors"}


def hard_state() -> dict[str, Any]:
    """Return a State of views, ties, cycles, odd keys and every dtype."""
    table = torch.arange(600_000.0).reshape(2000, 300)
    weight = torch.nn.Parameter(table[5:900, ::3])
    cycle: dict[str, Any] = {"in a cycle": torch.ones(300)}
    cycle["cycle"] = [cycle]
    bytes_ = torch.arange(512, dtype=torch.int16).view(torch.uint8)
    return {
        "weight": weight,
        "tied": [weight, {"view": table.T, "expanded": table[7, 7].expand(3, 4)}],
        "a.b": {1: torch.ones(()), "1": torch.zeros(2000), "": (torch.ones(2, 0),)},
        "again": cycle,
        "shared": [cycle, float("nan"), 2**70, np.arange(3), b"bytes"],
        "dtypes": {str(each): bytes_.clone().view(each)[1:] for each in TENSOR_DTYPES},
    }
