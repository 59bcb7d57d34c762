"""A lazy State reads what is asked for, gives real values, and keeps what is shared."""

from __future__ import annotations

import copy
import json
import pickle
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from ptutils.errors import CorruptError, DecodeError, MissingNameError
from ptutils.meta.codec import Encoded, decode, dumps, encode
from ptutils.meta.lazy import LazyState, lazy_state
from ptutils.meta.state import State
from ptutils.meta.unread import Unread
from ptutils.testing.sameness import same
from ptutils.testing.values import trees


class Artifacts(Sequence[Any]):
    """Artifacts that note which of them were read, some of them damaged."""

    def __init__(self, contents: Sequence[Any]) -> None:
        self.contents = [bytes(each) for each in contents]
        self.read: list[int] = []
        self.damaged: set[int] = set()

    def __getitem__(self, index: Any) -> Any:
        self.read.append(index)
        if index in self.damaged:
            raise CorruptError("cannot read artifact 123", path="pack")
        return self.contents[index]

    def __len__(self) -> int:
        return len(self.contents)


def opened(value: Any) -> tuple[State, Artifacts]:
    encoded = encode(value)
    artifacts = Artifacts(encoded.artifacts)
    lazy = Encoded(document=encoded.document, types=encoded.types, artifacts=artifacts)
    return lazy_state(lazy), artifacts


def net() -> OrderedDict[str, Any]:
    weight = torch.arange(6.0).reshape(2, 3)
    return OrderedDict({"0.weight": weight, "0.bias": torch.ones(2), "tied": weight})


def tree() -> State:
    weights = net()
    moments = {0: {"step": torch.tensor(3.0), "avg": torch.ones(2, 3)}}
    return State(
        net=weights,
        again=weights["0.weight"],
        optimizer={"state": moments, "param_groups": [{"lr": 0.1, "betas": (1, 2)}]},
        view=weights["0.weight"][1],
        list=[torch.ones(4), {"deep": torch.zeros(2)}],
        array=np.arange(5),
        step=3,
    )


def num_unread(state: State) -> int:
    return sum(
        num_unread(value) if isinstance(value, State) else type(value) is Unread
        for value in dict.values(state)
    )


def test_nothing_is_read_until_it_is_asked_for() -> None:
    state, artifacts = opened(tree())
    assert (state.step, state.optimizer.param_groups) == (
        3,
        [{"lr": 0.1, "betas": (1, 2)}],
    )
    assert (len(state), "net" in state, artifacts.read) == (7, True, [])
    assert list(state) == list(state.keys()) == list(tree())
    assert state.paths() == tree().paths()
    assert artifacts.read == []


def test_a_path_reads_that_one_alone() -> None:
    state, artifacts = opened(tree())
    assert torch.equal(state["net.0.bias"], torch.ones(2))
    assert len(artifacts.read) == 1
    assert "net.0.weight" in state
    assert "net.0.weight.deeper" not in state
    assert state.get("net.1.weight") is None
    assert len(artifacts.read) == 1
    assert state["net.0.bias"] is state["net.0.bias"] is state.net["0.bias"]


def test_what_was_shared_is_shared_however_it_is_reached() -> None:
    state, _ = opened(tree())
    assert state.again is state["net.0.weight"] is state["net.tied"]
    state.view[0] = 100
    assert state.net["0.weight"][1, 0] == 100
    assert state.net["tied"] is state.again
    assert type(state.net) is OrderedDict


def test_a_reference_is_read_before_what_it_refers_to() -> None:
    weight = torch.arange(3.0)
    rest = {"large": torch.ones(9)}
    state, artifacts = opened(State(a=OrderedDict(w=weight, **rest), b=[weight], c=1))
    assert torch.equal(state["b.0"], weight)
    assert len(artifacts.read) == 1
    assert state.a["w"] is state.b[0]


def test_a_reference_to_a_part_of_a_list_reads_the_list() -> None:
    weight = torch.arange(3.0)
    state, _ = opened(State(a=[weight, torch.ones(2)], b=weight))
    assert state.b is state.a[0]


def test_a_shared_container_stays_one() -> None:
    shared = {"weight": torch.ones(2)}
    state, _ = opened(State(a=shared, b=shared, c=[1, OrderedDict(x=torch.ones(1))]))
    assert state.a is state.b
    whole = OrderedDict(x=torch.ones(3))
    state, _ = opened(State(a=whole, b=whole))
    assert state["b.x"] is state["a.x"]
    assert state.a is state.b


def test_a_reference_into_what_has_no_parts_reads_it() -> None:
    weight = torch.ones(2)
    held = defaultdict(list, {"x": weight, "y": (1, 2)})
    state, _ = opened(State(a=held, b=weight))
    assert state.b is state.a["x"]


def test_parts_of_what_is_read_are_found_by_a_reference() -> None:
    whole = OrderedDict(x=torch.ones(3), y=(1, 2))
    state, _ = opened(State(a=whole, b=whole))
    first = state.a
    assert state["b.x"] is first["x"]


def test_parts_without_bytes_are_the_same_objects_in_the_whole() -> None:
    inner: list[Any] = []
    value = OrderedDict({None: [inner, inner], (): np.ones(3), "a": {"b": [1]}})
    state, _ = opened(State(value=value, again=inner))
    part = state["value.a"]
    assert (state["value.a.b.0"], state["value.None.1"]) == (1, [])
    part["c"] = 5
    assert state.value["a"] is part
    assert state.value[None][0] is state.value[None][1] is state.again


def test_cycles_come_back() -> None:
    cycle: OrderedDict[str, Any] = OrderedDict(weight=torch.ones(2))
    cycle["self"] = cycle
    state, _ = opened(State(cycle=cycle))
    assert torch.equal(state["cycle.self.weight"], torch.ones(2))
    assert state.cycle["self"] is state.cycle
    whole, _ = opened(State(cycle=cycle))
    assert whole.cycle["self"] is whole.cycle
    state = State(weight=torch.ones(2))
    state.me = state
    lazy, _ = opened(state)
    assert lazy.me.me is lazy
    assert torch.equal(lazy.me.weight, torch.ones(2))


WHOLE: dict[str, Callable[[State], Any]] = {
    "dict": dict,
    "State": State,
    "unpacked": lambda state: {**state},
    "updated": lambda state: (new := State(), new.update(state))[0],
    "or": lambda state: state | {},
    "ror": lambda state: {} | state,
    "ior": lambda state: State().__ior__(state),
    "copy": lambda state: state.copy(),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda state: pickle.loads(pickle.dumps(state)),  # noqa: S301
    "items": lambda state: dict(state.items()),
    "values": lambda state: dict(zip(state, state.values(), strict=True)),
    "popitem": lambda state: dict(reversed([state.popitem() for _ in range(7)])),
    "pop": lambda state: {key: state.pop(key) for key in list(state)},
    "get": lambda state: {key: state.get(key) for key in state},
    "setdefault": lambda state: {key: state.setdefault(key) for key in state},
    "codec": lambda state: decode(encode(state)),
    "call": lambda state: dict(state()),
    "loaded": lambda state: State().load_state_dict(state),
}


@pytest.mark.parametrize("name", WHOLE)
def test_everything_gives_real_values(name: str) -> None:
    state, _ = opened(tree())
    assert same(copy.deepcopy(State(WHOLE[name](state))), tree())


def test_a_state_that_was_read_is_a_state_like_any_other() -> None:
    state, _ = opened(tree())
    assert type(state) is LazyState
    assert type(state.optimizer) is State
    state.values()
    assert type(state) is State
    assert type(state.optimizer["state"][0]) is LazyState
    copy.deepcopy(state)
    assert num_unread(state) == 0


def test_lazy_states_are_compared_by_value() -> None:
    plain = State(a={"b": b"x" * 2000, "c": b"y" * 3000}, d=b"z" * 2000)
    assert opened(plain)[0] == plain
    assert plain == opened(plain)[0]
    assert opened(plain)[0] == opened(plain)[0]
    other = State(a={"b": b"x" * 2000, "c": b"z" * 3000}, d=b"z" * 2000)
    assert opened(plain)[0] != other
    assert opened(plain)[0].__hash__ is None


def test_lazy_state_is_shown_without_reading() -> None:
    state, artifacts = opened(State(w=torch.ones(2, 3), l=[torch.ones(1)], step=1))
    assert repr(state) == "State({'w': <unread float32[2, 3]>, 'l': <unread list>, " + (
        "'step': 1})"
    )
    assert not artifacts.read


def test_lazy_state_can_be_changed_and_saved(tmp_path: Path) -> None:
    state, _ = opened(tree())
    state.step = 4
    state.optimizer["state"][0]["step"] = torch.tensor(4.0)
    del state["array"]
    expected = tree()
    expected.step = 4
    expected.optimizer["state"][0]["step"] = torch.tensor(4.0)
    del expected["array"]
    assert state.digest() == expected.digest()
    again, _ = opened(tree())
    again.save(tmp_path / "a.json")
    tree().save(tmp_path / "b.json")
    read = [json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json")]
    assert read[0] == read[1]


def test_missing_name_is_an_error_as_in_any_state() -> None:
    state, _ = opened(tree())
    with pytest.raises(MissingNameError, match="holds no 'stap'"):
        _ = state["stap"]
    with pytest.raises(KeyError):
        state.pop("stap")
    assert state.pop("stap", 5) == 5


def test_damaged_leaf_is_an_error_and_all_others_load() -> None:
    state, artifacts = opened(tree())
    artifacts.damaged = {0}
    for path in ("net.0.weight", "again", "view", "net"):
        with pytest.raises(CorruptError, match=r"cannot read 'net\.0\.weight'|'view'"):
            _ = state[path]
    assert torch.equal(state["net.0.bias"], torch.ones(2))
    assert state["optimizer.state.0.step"] == 3
    assert state["list.1"] == {"deep": state["list.1.deep"]}
    artifacts.damaged.clear()
    assert state.again is state["net.0.weight"] is state.net["tied"]


def test_failed_reading_leaves_nothing_half_done() -> None:
    inner = [torch.ones(2)]
    value = [inner, inner, torch.zeros(3)]
    state, artifacts = opened(State(value=value, again=inner))
    artifacts.damaged = {1}
    with pytest.raises(CorruptError):
        _ = state.value
    artifacts.damaged.clear()
    assert state.value[0] is state.value[1] is state.again


def test_plain_dict_becomes_a_state() -> None:
    state, artifacts = opened({"a": {"b": torch.ones(2)}, "step": 1})
    assert (type(state), type(state.a), state.step) == (State, LazyState, 1)
    assert not artifacts.read
    assert lazy_state(encode({"step": 1})) == State(step=1)


@pytest.mark.parametrize("value", [[torch.ones(2)], OrderedDict(a=torch.ones(2))])
def test_what_is_no_state_is_refused(value: Any) -> None:
    with pytest.raises(DecodeError, match=r"a State|expected: dict"):
        lazy_state(encode(value))


@pytest.mark.parametrize(
    ("document", "nodes"),
    [
        # Each needs the other, or itself, before it is there.
        (
            {"a": [None, "float32[1]"], "b": [None, "float32[1]"]},
            {
                "a": {"id": 1, "is": "tuple", "in": {"0": {"is": "ref", "to": 2}}},
                "b": {"id": 2, "is": "tuple", "in": {"0": {"is": "ref", "to": 1}}},
            },
        ),
        (
            {"a": [None, "float32[1]"]},
            {"a": {"is": "tuple", "in": {"0": {"is": "ref", "to": 7}}}},
        ),
        (
            {"a": [[None], "float32[1]"]},
            {
                "a": {
                    "id": 3,
                    "is": "tuple",
                    "in": {"0": {"is": "tuple", "in": {"0": {"is": "ref", "to": 3}}}},
                }
            },
        ),
        (
            {"a": [None, ["float32[1]"]]},
            {
                "a": {
                    "is": "tuple",
                    "in": {
                        "0": {"is": "ref", "to": 4},
                        "1": {"id": 4, "in": {}},
                    },
                }
            },
        ),
    ],
)
def test_hostile_references_are_refused(document: Any, nodes: Any) -> None:
    for node in nodes.values():
        position = str(len(node["in"]))
        node["in"].setdefault(position, {"is": "torch.Tensor", "at": 0})
    types = dumps({"format": 1, "tree": {"is": "State", "in": nodes}})
    state = lazy_state(Encoded(document=document, types=types, artifacts=(b"1234",)))
    with pytest.raises(DecodeError):
        _ = state.a


@pytest.mark.filterwarnings("ignore:ComplexHalf support")
@settings(max_examples=20, deadline=None)
@given(value=trees)
def test_any_value_comes_back(value: Any) -> None:
    expected = State(value=value, tensor=torch.ones(2))
    state, _ = opened(expected)
    for path in state.paths():
        state.get(path)
    assert same(decode(encode(state)), expected)
