"""A person, or another program, reads the folder without ptutils."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
import yaml

from ptutils.testing.sameness import same
from tests.db.files.samples import Recorded, hard_state


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path / "lab")


def test_run_is_yaml(recorded: Recorded) -> None:
    run = yaml.safe_load((recorded.folder / "run.yaml").read_text())
    assert run["_id"] == recorded.run_id
    assert run["config"]["betas"] == [0.9, 0.99]
    assert run["status"]["phase"] == "running"


def test_history_is_csv(recorded: Recorded) -> None:
    with (recorded.folder / "history.csv").open() as file:
        lines = list(csv.DictReader(file))
    found = [(line["step"], line["path"], float(line["value"])) for line in lines]
    assert found == [("1", "loss", 1.0), ("2", "loss", 0.5), ("3", "loss", 1 / 3)]


def test_checkpoint_is_safetensors_named_by_path(recorded: Recorded) -> None:
    tensors = safetensors.numpy.load_file(recorded.tensors)
    assert list(tensors) == ["net.0.weight"]
    assert np.array_equal(tensors["net.0.weight"], np.arange(6.0).reshape(2, 3))


def test_json_tells_what_the_checkpoint_is(recorded: Recorded) -> None:
    told = json.loads(recorded.json.read_text())
    (artifact,) = told["artifacts"]
    assert (told["step"], told["why"]) == (3, "schedule")
    assert (artifact["tensor"], artifact["bytes"]) == ("net.0.weight", 24)
    assert told["state"]["skeleton"] == {"net": {"0．weight": "float32[2, 3]"}}


def test_hard_tensors_are_named_and_come_back(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path / "lab", **hard_state())
    tensors = safetensors.torch.load_file(recorded.tensors)
    assert tensors["half"].dtype == torch.bfloat16
    assert tensors["tied.0"].shape == (3, 4)
    assert tensors["large"].shape == (400_000,)
    assert tensors["random"].dtype == torch.uint8
    (checkpoint,) = recorded.again().runs.get(recorded.run_id).checkpoints
    assert same(dict(checkpoint.state), hard_state())


def test_tensor_in_slices_is_one_tensor_of_the_file(tmp_path: Path) -> None:
    large = {"embedding": torch.arange(65 << 18, dtype=torch.int32)}
    recorded = Recorded(tmp_path / "lab", **large)
    tensors = safetensors.torch.load_file(recorded.tensors)
    assert torch.equal(tensors["embedding"], large["embedding"])
    told = json.loads(recorded.json.read_text())
    assert [each["tensor"] for each in told["artifacts"]] == ["embedding"] * 5
    assert not list((tmp_path / "lab").glob("artifacts/*"))
    db = recorded.again()
    assert db.verify() == []
    (checkpoint,) = db.runs.get(recorded.run_id).checkpoints
    assert torch.equal(checkpoint.state.embedding, large["embedding"])


def test_checkpoint_is_complete_without_the_packs(tmp_path: Path) -> None:
    Recorded(tmp_path / "lab", **hard_state())
    assert not list((tmp_path / "lab").glob("artifacts/*"))


def test_users_documents_are_json(tmp_path: Path) -> None:
    db = Recorded(tmp_path / "lab").db
    db.save({"_id": "best", "lr": 0.1, "tags": ["a", "b"]}, "notes")
    told = json.loads((tmp_path / "lab/documents/notes/best.json").read_text())
    assert (told["lr"], told["tags"]) == (0.1, ["a", "b"])


def test_format_is_told(recorded: Recorded) -> None:
    assert yaml.safe_load((recorded.path / "ptutils.yaml").read_text()) == {"format": 2}


def test_everything_is_for_the_owner_only(recorded: Recorded) -> None:
    recorded.db.save({"large": torch.arange(5000.0)})
    for path in [recorded.path, *recorded.path.rglob("*")]:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path
