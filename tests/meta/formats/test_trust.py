"""What runs code is written when asked, and read when trusted."""

from __future__ import annotations

import collections
import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from ptutils.errors import DecodeError, EncodeError, FormatError
from ptutils.meta.formats import read, write
from ptutils.meta.state import State
from ptutils.testing.sameness import same

TEXTS = [".json", ".yaml"]


class Thing:
    """An object that the codec does not store."""

    def __init__(self, content):
        self.content = content

    def __eq__(self, other):
        return type(other) is Thing and same(self.content, other.content)

    __hash__ = None


class Bomb:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return (os.mkdir, (str(self.folder),))


def broken():
    raise RuntimeError("broken")


class Unreadable:
    def __reduce__(self):
        return (broken, ())


# pickle


def test_a_pickle_is_written_and_read_with_trust_only(tmp_path):
    path = tmp_path / "state.pkl"
    with pytest.raises(FormatError, match=r"choose \.safetensors or \.yaml"):
        State(a={"b": 1}).save(path)
    State(a={"b": 1}).save(path, trust=True)
    with pytest.raises(FormatError, match="pass trust=True if you know who wrote it"):
        State.load(path)
    assert State.load(path, trust=True) == {"a": {"b": 1}}


@pytest.mark.parametrize("protocol", range(6))
def test_reading_a_pickle_without_trust_tells_what_would_run(tmp_path, protocol):
    path = tmp_path / "bomb.pkl"
    bombs = [Bomb(tmp_path / name) for name in "ab"]
    path.write_bytes(pickle.dumps([bombs, Thing(1)], protocol=protocol))
    with pytest.raises(FormatError, match=r"posix\.mkdir.*Thing"):
        read(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_pickle_of_values_or_of_many_classes_is_told_so(tmp_path):
    path = write(tmp_path / "values.pkl", {"a": 1}, trust=True)
    with pytest.raises(FormatError, match="nothing but values"):
        read(path)
    kinds = [kind for kind in vars(nn).values() if isinstance(kind, type)][:20]
    write(path, kinds, trust=True)
    with pytest.raises(FormatError, match=r", \.\.\."):
        read(path)


@pytest.mark.parametrize("content", [b"not a pickle", b"\x94h\x05.", b"\x93."])
def test_a_damaged_pickle_is_refused(tmp_path, content):
    path = tmp_path / "state.pkl"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="without trust"):
        read(path)
    with pytest.raises(FormatError, match="a pickle of objects"):
        read(path, trust=True)


def test_what_cannot_be_pickled_is_refused(tmp_path):
    with pytest.raises(EncodeError, match="cannot pickle this value"):
        write(tmp_path / "state.pkl", lambda: 1, trust=True)
    assert list(tmp_path.iterdir()) == []


# objects in texts


@pytest.mark.parametrize("suffix", TEXTS)
def test_objects_come_back_with_trust(tmp_path, suffix):
    thing = Thing([{1: (2,)}, {"1": float("nan")}, [None]])
    state = State(a=[thing, {"again": thing}], w=torch.ones(2), t=(1,))
    path = state.save(tmp_path / f"state{suffix}", trust=True)
    back = State.load(path, trust=True)
    assert back["a.0"] == thing
    assert back["a.0"] is back["a.1.again"]
    assert same({"w": back.w, "t": back.t}, {"w": torch.ones(2), "t": (1,)})


@pytest.mark.parametrize("suffix", TEXTS)
def test_objects_are_written_only_when_asked(tmp_path, suffix):
    with pytest.raises(EncodeError, match="cannot store this value at 'a'"):
        State(a=Thing(1)).save(tmp_path / f"state{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", TEXTS)
def test_objects_are_named_and_not_made_without_trust(tmp_path, suffix):
    path = tmp_path / f"state{suffix}"
    net = nn.Sequential(nn.Linear(1, 1))
    write(path, {"a": [Thing(1)], "net": net}, trust=True)
    with pytest.raises(FormatError, match=r"(?s)Thing, torch.*Sequential.*trust=True"):
        read(path)
    text = path.read_text().replace(f"{__name__}.Thing", "nowhere.Thing")
    path.write_text(text)
    with pytest.raises(FormatError, match=r"nowhere\.Thing"):
        read(path)
    with pytest.raises(DecodeError, match=r"at 'a\.0'(.|\n)*importable here"):
        read(path, trust=True)


@pytest.mark.parametrize("text", [None, "{}", "x"])
def test_a_damaged_object_is_refused(tmp_path, text):
    tree = {"in": {"a": {"is": "jsonpickle", "text": text}}}
    sidecar = {"types": {"format": 1, "tree": tree}, "artifacts": []}
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"a": "x", "_ptutils": sidecar}))
    with pytest.raises(FormatError, match="by running code of jsonpickle"):
        read(path)
    if text != "{}":
        with pytest.raises(DecodeError):
            read(path, trust=True)


def test_many_classes_are_not_all_named(tmp_path):
    kinds = [kind for kind in vars(collections.abc).values() if isinstance(kind, type)]
    path = write(tmp_path / "state.json", kinds, trust=True)
    with pytest.raises(FormatError, match=r", \.\.\."):
        read(path)


@pytest.mark.parametrize(
    "value",
    [Thing(lambda: 1), Unreadable(), lambda: 1, Thing([1.5, {1: Thing, "a": 2}])],
)
def test_objects_that_would_not_come_back_are_refused(tmp_path, value):
    with pytest.raises(EncodeError, match="cannot store this object at 'a'"):
        write(tmp_path / "state.json", {"a": value}, trust=True)


def test_objects_of_local_classes_are_refused(tmp_path):
    class Local:
        pass

    with pytest.raises(EncodeError, match="one that jsonpickle writes and makes"):
        write(tmp_path / "state.json", Local(), trust=True)


def test_objects_that_change_their_type_are_refused(tmp_path):
    with pytest.raises(EncodeError, match="of which something else would come back"):
        write(tmp_path / "state.json", {"a": Changing()}, trust=True)


class Changing:
    def __reduce__(self):
        return (dict, ())


def test_sets_and_keys_hold_no_objects(tmp_path):
    with pytest.raises(EncodeError, match="cannot store this value at 'a'"):
        write(tmp_path / "state.json", {"a": {len}}, trust=True)


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".pt", ".safetensors"])
def test_other_formats_hold_no_objects(tmp_path, suffix):
    with pytest.raises(EncodeError, match="cannot store this value at 'a'"):
        write(tmp_path / f"state{suffix}", {"a": Thing(1)}, trust=True)


def test_reading_without_trust_loads_no_jsonpickle(tmp_path):
    path = write(tmp_path / "state.json", {"a": len}, trust=True)
    code = (
        "import sys; from ptutils.meta.formats import read\n"
        f"try: read({str(path)!r})\n"
        "except ValueError: print('jsonpickle' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout == "False False\n"
