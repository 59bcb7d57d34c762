"""Files: every format brings a MetaModule back, whole or not at all."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from ptutils.errors import DecodeError, EncodeError, FormatError
from ptutils.meta.formats import read, register_format, write
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.metamodule import MetaModule
from ptutils.meta.state import State
from ptutils.testing.sameness import same

SUFFIXES = [
    ".json",
    ".yaml",
    ".yml",
    ".npz",
    ".pt",
    ".safetensors",
    ".h5",
    ".lmdb",
    ".tfrecord",
]


def example() -> State:
    weight = torch.nn.Parameter(torch.ones(2, 3))
    return State(
        model={"net": {"0.weight": weight, "tied": weight, "row": weight.detach()[1]}},
        optimizer={"state": {0: {"step": torch.tensor(3.0)}}, "betas": (0.9, 0.999)},
        mask=torch.tensor([True]),
        position=np.arange(3),
        loss=float("nan"),
        step=2**70,
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_state_comes_back_from_its_file(tmp_path, suffix):
    state = example()
    path = state.save(tmp_path / f"state{suffix}")
    assert same(State.load(path), state)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_else_is_left_in_the_folder(tmp_path, suffix):
    path = example().save(tmp_path / f"state{suffix}")
    example().save(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".yaml", "lr: 0.001\nnames: [a, 'yes']\nnested:\n  empty: {}\n"),
        (
            ".json",
            '{\n  "lr": 0.001,\n  "names": [\n    "a",\n    "yes"\n  ],\n'
            '  "nested": {\n    "empty": {}\n  }\n}\n',
        ),
    ],
)
def test_plain_values_are_written_as_a_person_would(tmp_path, suffix, text):
    state = State(lr=1e-3, names=["a", "yes"], nested={"empty": {}})
    path = state.save(tmp_path / f"state{suffix}")
    assert path.read_text() == text
    assert same(State.load(path), state)


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".yaml", "a.b: 1\n$x: [1, é]\nday: 2026-01-31\n0: zero\n"),
        (".json", '\ufeff{"a.b": 1, "$x": [1, "é"], "$schema": "x"}'),
    ],
)
def test_what_a_person_wrote_is_taken_as_it_is(tmp_path, suffix, text):
    path = tmp_path / f"config{suffix}"
    path.write_text(text, "utf-8")
    value = read(path)
    assert value["a.b"] == 1
    assert value["$x"] == [1, "é"]


def test_texts_are_readable_in_json(tmp_path):
    path = State(name="Käthe", weight=(1,)).save(tmp_path / "state.json")
    held = json.loads(path.read_text("utf-8"))
    assert held["name"] == "Käthe"
    assert "Käthe" in path.read_text("utf-8")
    assert held["_ptutils"]["types"] == {
        "format": 1,
        "tree": {"in": {"weight": "tuple"}},
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("value", [[1, (2,)], 3.5, None, "text", np.ones(2)])
def test_a_value_that_is_no_dict_comes_back(tmp_path, suffix, value):
    assert same(read(write(tmp_path / f"value{suffix}", value)), value)


# safetensors


def test_other_tools_read_the_tensors_of_a_safetensors_file(tmp_path):
    state = State(net={"w": torch.ones(2, 2), "b": torch.zeros(1, dtype=torch.bool)})
    path = state.save(tmp_path / "state.safetensors")
    held = safetensors.torch.load_file(path)
    assert sorted(held) == ["net.b", "net.w"]
    assert torch.equal(held["net.w"], torch.ones(2, 2))


def test_a_manifest_under_a_damaged_name_is_noticed(tmp_path):
    path = State(a=torch.ones(2)).save(tmp_path / "state.safetensors")
    path.write_bytes(path.read_bytes().replace(b'"ptutils"', b'"qtutils"'))
    with pytest.raises(DecodeError, match="under 'qtutils': the file is damaged"):
        State(path)


def test_a_file_of_others_may_have_metadata(tmp_path):
    path = tmp_path / "theirs.safetensors"
    tensors = {"w": torch.ones(2)}
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    assert list(State(path)) == ["w"]


def test_storages_that_no_tensor_fills_are_bytes(tmp_path):
    state = State(a=[torch.ones(2, 2)[:, 0], torch.ones(2, 2).t(), np.ones(1)[::-1]])
    path = state.save(tmp_path / "state.safetensors")
    assert sorted(safetensors.torch.load_file(path)) == [
        "_ptutils.0", "_ptutils.1", "_ptutils.2",
    ]  # fmt: skip
    assert same(State.load(path), state)


def test_tensors_are_named_by_the_keys_of_the_program(tmp_path):
    ones = torch.ones
    state = State(
        {"net": {"0.weight": ones(2), "0\udc80": ones(1)}, "array": np.ones(3)}
    )
    path = state.save(tmp_path / "state.safetensors")
    names = sorted(safetensors.torch.load_file(path))
    assert names == ["array", "net.0.weight", "net.0\ufffd"]
    assert same(State.load(path), state)


def test_names_that_are_taken_or_reserved_are_not_used(tmp_path):
    ones = torch.ones
    state = State({"a.b": ones(1), "a": {"b": ones(2)}, "__metadata__": ones(3),
                   "_ptutils": {"0": ones(4)}, "": ones(5), 1: ones(6)})  # fmt: skip
    path = state.save(tmp_path / "state.safetensors")
    assert sorted(safetensors.torch.load_file(path)) == [
        "1", "_ptutils.1", "_ptutils.2", "_ptutils.3", "a.b", "\u2205",
    ]  # fmt: skip
    assert same(State.load(path), state)


def test_a_tensor_that_fills_a_part_of_its_storage_is_no_entry_of_its_own(tmp_path):
    whole = torch.arange(4.0)
    state = State(part=whole[:2], whole=whole)
    path = state.save(tmp_path / "state.safetensors")
    assert sorted(safetensors.torch.load_file(path)) == ["whole"]
    assert same(State.load(path), state)


def test_a_safetensors_file_of_others_is_read_by_name(tmp_path):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({"layer.weight": torch.ones(2)}, path)
    state = State(path)
    assert torch.equal(state["layer.weight"], torch.ones(2))


def test_damaged_metadata_of_a_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({}, path, metadata={"ptutils": "{}"})
    with pytest.raises(DecodeError, match="blake3, document, types and names"):
        read(path)


def test_what_a_safetensors_header_cannot_hold_is_refused(tmp_path):
    with pytest.raises(FormatError, match="at most 100 MB of text"):
        write(tmp_path / "state.safetensors", {"text": "x" * 100_000_000})
    assert list(tmp_path.iterdir()) == []


# pt


def test_torch_reads_a_plain_state_without_ptutils(tmp_path):
    state = State(net={"weight": torch.ones(2)}, betas=(0.9, 0.999), names=[None, "a"])
    path = state.save(tmp_path / "state.pt")
    held = torch.load(path, weights_only=True)
    assert type(held) is dict
    assert same(State(held), state)


def test_a_view_does_not_write_the_storage_behind_it(tmp_path):
    state = State(view=torch.zeros(1_000_000)[:4])
    assert state.save(tmp_path / "state.pt").stat().st_size < 10_000


def test_a_pt_file_that_needs_code_is_refused(tmp_path):
    path = tmp_path / "net.pt"
    torch.save(torch.nn.Linear(1, 1), path)
    with pytest.raises(FormatError, match=r"save the state_dict\(\) alone"):
        read(path)


@pytest.mark.parametrize(
    "parts", [3, {"manifest": "1"}, {"manifest": "1", "artifacts": {"0": 3}}]
)
def test_a_pt_file_with_a_damaged_sidecar_is_refused(tmp_path, parts):
    path = tmp_path / "state.pt"
    torch.save({"_ptutils": parts}, path)
    with pytest.raises(DecodeError, match="a manifest and artifacts"):
        read(path)


def test_deep_values_and_reserved_keys_go_through_the_codec(tmp_path):
    deep: list = []
    for _ in range(60):
        deep = [deep]
    for value in ({"deep": deep}, {"_ptutils": 1}, {(1,): 2}, {"big": 2**70}):
        assert same(read(write(tmp_path / "value.pt", value)), value)


# faults


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"\xff\xfe{", b"[1", b"\0" * 4])
def test_a_damaged_file_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"state{suffix}"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="cannot read"):
        read(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_was_cut_is_refused(tmp_path, suffix):
    path = example().save(tmp_path / f"state{suffix}")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises((FormatError, DecodeError)):
        read(path)


@pytest.mark.parametrize(
    ("sidecar", "text"),
    [
        (3, "types and artifacts"),
        ({"types": {}}, "types and artifacts"),
        ({"types": {}, "artifacts": 3}, "cannot read the artifacts"),
        ({"types": {}, "artifacts": ["x"]}, "cannot read the artifacts"),
        (
            {"types": {"format": 1, "tree": "eval"}, "artifacts": []},
            "that ptutils knows",
        ),
        ({"document": 1, "types": {}}, "types and artifacts"),
    ],
)
def test_a_damaged_sidecar_is_refused(tmp_path, sidecar, text):
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"_ptutils": sidecar}))
    with pytest.raises(DecodeError, match=text):
        read(path)


@pytest.mark.parametrize("name", ["missing.json", "missing.yaml", "missing.pt",
                                  "missing.safetensors", "missing.pkl"])  # fmt: skip
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(FormatError, match="No such file"):
        read(tmp_path / "nowhere" / name, trust=True)


def test_an_unknown_suffix_names_the_nearest(tmp_path):
    with pytest.raises(FormatError, match=r"did you mean '\.yaml'"):
        read(tmp_path / "config.yam")


def test_a_missing_suffix_lists_what_there_is(tmp_path):
    with pytest.raises(FormatError, match=r"\.bin, \.ckpt, \.h5, \.json"):
        write(tmp_path / "config", {})


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(FormatError, match="choose a folder that exists"):
        State().save(tmp_path / "nowhere" / "state.json")


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = State(a=1).save(tmp_path / "state.json")
    code = (
        "import resource; from ptutils.meta.state import State;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        f"State(a='x' * 1000).save({str(path)!r})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert "FormatError: cannot write" in result.stderr
    assert State.load(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_fails_leaves_the_old_file(tmp_path):
    path = State(a=1).save(tmp_path / "state.json")
    with pytest.raises(EncodeError, match="cannot store this value at 'a'"):
        State(a=object()).save(path)
    with pytest.raises(RuntimeError), replacing(path) as file:
        _fail_after(file)
    assert State.load(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def _fail_after(file):
    file.write(b"half")
    raise RuntimeError


def test_formats_can_be_added(tmp_path):
    register_format(
        ".txt",
        read=lambda path: {"text": path.read_text()},
        write=lambda path, value: path.write_text(value["text"]) and None,
    )
    path = State(text="hello").save(tmp_path / "state.TXT")
    assert State.load(path) == {"text": "hello"}


def test_a_safetensors_header_that_lies_is_refused(tmp_path):
    path = tmp_path / "state.safetensors"
    path.write_bytes(struct.pack("<Q", sys.maxsize) + b"{}")
    with pytest.raises(FormatError, match="a safetensors file"):
        read(path)


def test_a_meta_module_saves_its_state_dict(tmp_path):
    class Note(MetaModule):
        text = ""

        def __call__(self):
            return self.text

        def state_dict(self):
            return {"text": self.text}

        def load_state_dict(self, state):
            self.text = state["text"]

    note = Note()
    note.text = "hello"
    assert Note.load(note.save(tmp_path / "note.yaml"))() == "hello"


def test_a_meta_module_says_what_it_is_for():
    with pytest.raises(TypeError, match="abstract"):
        MetaModule()  # type: ignore[abstract]
