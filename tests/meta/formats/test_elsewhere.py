"""States from elsewhere: what others wrote, read as it is and restored by rename."""

from __future__ import annotations

import collections
import importlib
import json

import pytest
import safetensors.torch
import torch
from torch import nn

import ptutils
from ptutils.errors import FormatError
from ptutils.meta.formats import read, write
from ptutils.meta.state import State


def shards(folder, **index):
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    safetensors.torch.save_file({"a": torch.ones(1)}, folder / names[0])
    safetensors.torch.save_file({"b": torch.zeros(2)}, folder / names[1])
    told = {"metadata": {}, "weight_map": {"b": names[1], "a": names[0]}, **index}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(told))
    return path


def test_sharded_safetensors_are_read_through_their_index(tmp_path):
    state = State(shards(tmp_path))
    assert list(state) == ["b", "a"]
    assert torch.equal(state.a, torch.ones(1))


@pytest.mark.parametrize(
    ("index", "text"),
    [
        ({"weight_map": {"c": "model-00001-of-00002.safetensors"}}, "not so for 'c'"),
        ({"weight_map": {"a": "gone.safetensors"}}, "not so for 'gone.safetensors'"),
        ({"weight_map": {"a": "../x.safetensors"}}, "in the same folder"),
        ({"weight_map": {"a": "model.bin"}}, "in the same folder"),
        ({"weight_map": {"a": 3}}, "in the same folder"),
        ({"weight_map": 3}, "an index with weight_map"),
        ({"more": 3}, "an index with weight_map"),
        ({"weight_map": {str(n): f"{n}.bin" for n in range(13)}}, r", \.\.\."),
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path, index, text):
    with pytest.raises(FormatError, match=text):
        read(shards(tmp_path, **index))


@pytest.mark.parametrize("content", [b"3", b"{", b"\xff"])
def test_what_is_no_index_is_refused(tmp_path, content):
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="cannot read"):
        read(path)


def test_an_index_is_not_written(tmp_path):
    with pytest.raises(FormatError, match=r"choose \.safetensors"):
        write(tmp_path / "model.safetensors.index.json", {})


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
@pytest.mark.parametrize("is_zip", [True, False])
def test_a_file_of_torch_is_read(tmp_path, suffix, is_zip):
    path = tmp_path / f"v1.0{suffix}"
    net = nn.Linear(2, 1)
    torch.save(net.state_dict(), path, _use_new_zipfile_serialization=is_zip)
    assert torch.equal(State(path).weight, net.weight.detach())


def lightning_like() -> dict:
    """The layout of Lightning 2's checkpoints, as its documentation tells it."""
    net = nn.Linear(2, 1).state_dict()
    return {
        "epoch": 1,
        "global_step": 20,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": collections.OrderedDict(
            (f"net.{name}", value) for name, value in net.items()
        ),
        "loops": {},
        "callbacks": {},
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": 0.1}]}],
        "lr_schedulers": [],
    }


def test_a_checkpoint_of_lightning_is_restored_into_a_net_by_rename(tmp_path):
    path = tmp_path / "epoch=1-step=20.ckpt"
    torch.save(lightning_like(), path)
    weights = State(path)["state_dict"]
    model = ptutils.Model(nn.Sequential(nn.Linear(2, 1)))
    model.load_state_dict(
        weights,
        strict=False,
        rename=lambda path: path.replace("net.", "net.0."),
    )
    assert torch.equal(model.net[0].weight, weights["net.weight"])
    assert torch.equal(model.net[0].bias, weights["net.bias"])


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_by_lightning_itself_is_read(tmp_path):
    lightning = importlib.import_module("lightning")  # Slow: here alone.

    class Tiny(lightning.LightningModule):
        def __init__(self, width):
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Linear(width, 1)

        def training_step(self, batch, number):
            return self.net(batch[0]).sum()

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters())

    data = torch.utils.data.TensorDataset(torch.ones(4, 2))
    trainer = lightning.Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path,
    )  # fmt: skip
    module = Tiny(2)
    trainer.fit(module, torch.utils.data.DataLoader(data))
    trainer.save_checkpoint(tmp_path / "epoch=0-step=4.ckpt")

    state = State(tmp_path / "epoch=0-step=4.ckpt")
    assert torch.equal(state["state_dict"]["net.weight"], module.net.weight.detach())
    assert state.global_step == 4


def test_objects_in_a_checkpoint_are_named_and_not_made(tmp_path):
    path = tmp_path / "epoch=1.ckpt"
    torch.save({**lightning_like(), "hyper_parameters": nn.Linear(1, 1)}, path)
    with pytest.raises(FormatError, match=r"torch\.nn\.modules\.linear\.Linear"):
        State(path)


def test_a_damaged_archive_of_torch_is_refused(tmp_path):
    path = tmp_path / "state.pt"
    weight = torch.full((100,), 7.0)
    torch.save({"w": weight}, path)
    content = bytearray(path.read_bytes())
    content[content.index(weight.numpy().tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="a damaged state/data/0"):
        read(path)


def test_an_error_gives_no_advice_to_run_code(tmp_path):
    path = tmp_path / "script.pt"
    path.write_bytes(b"no file of PyTorch's")
    with pytest.raises(FormatError) as caught:
        State(path)
    assert "got:      Weights only load failed\n" in str(caught.value)
