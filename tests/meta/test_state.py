"""State: a dict with dots, its identity law, its paths and its files."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings

from ptutils.errors import FormatError, MissingNameError, StateMismatchError
from ptutils.meta.codec import decode, encode
from ptutils.meta.state import State
from ptutils.testing.sameness import same
from ptutils.testing.values import trees

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support")


def test_calling_reading_and_loading_a_state_give_the_state_itself():
    state = State(step=3)
    arguments = ({"step": 4}, 1)
    assert state(*arguments, prefix="x") is state
    assert state.state_dict(*arguments, prefix="x") is state
    assert state.load_state_dict(*arguments, strict=False) is state


def test_loading_replaces_the_content():
    assert State(a=1, b=2).load_state_dict({"c": {"d": 3}}) == {"c": {"d": 3}}


def test_loading_nothing_or_itself_changes_nothing():
    state = State(a=1)
    assert state.load_state_dict() == {"a": 1}
    assert state.load_state_dict(state) == {"a": 1}


@pytest.mark.parametrize("source", [3, b"bytes", [1, 2], ["abc"], torch.ones(2)])
def test_a_state_is_read_from_mappings_and_pairs_only(source):
    with pytest.raises(StateMismatchError, match="cannot read a State"):
        State(source)


def test_a_file_that_holds_no_state_is_named(tmp_path):
    torch.save(torch.ones(2), tmp_path / "one.pt")
    with pytest.raises(StateMismatchError, match=r"from \S+one\.pt\n(.|\n)*Tensor: "):
        State(tmp_path / "one.pt")


def test_an_error_in_loading_names_the_file(tmp_path):
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(StateMismatchError) as caught:
        State.load(tmp_path / "list.json")
    assert caught.value.__notes__ == [f"  file:     {tmp_path / 'list.json'}"]


def test_loading_text_as_content_is_refused():
    state = State()
    with pytest.raises(StateMismatchError, match="a mapping, pairs"):
        state.load_state_dict("text")


def test_pairs_and_names_make_a_state():
    assert State([("a", 1)], b=2) == {"a": 1, "b": 2}


def test_nested_dicts_are_read_and_written_by_dots():
    state = State({"optimizer": {"lr": 0.1}})
    state.optimizer.lr = 0.2
    state.step = 1
    assert state == {"optimizer": {"lr": 0.2}, "step": 1}


def test_a_dict_put_in_two_places_becomes_one_state():
    shared = {"a": 1}
    state = State(x=shared, y={"z": shared})
    assert state.x is state.y.z


def test_a_dict_that_holds_itself_can_be_put_in():
    loop: dict = {}
    loop["self"] = loop
    state = State(loop=loop)
    assert state.loop.self is state.loop


def test_every_way_of_adding_turns_dicts_into_states():
    state = State()
    state["a"] = {}
    state.update(b={})
    state |= {"c": {}}
    state.setdefault("d", {})
    assert {type(value) for value in state.values()} == {State}


def test_setdefault_keeps_what_is_there():
    assert State(a=1).setdefault("a", 2) == 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("net.0.weight", 1),
        ("net.0.weight.half", 2),
        ("list.1.x", 3),
        ("adam.0", 4),
        ("tuple.0", 5),
        ("ordered.a.b", 6),
    ],
)
def test_items_are_found_by_dotted_path(path, value):
    state = State(
        net={"0.weight": 1, "0": {"weight.half": 2}},
        list=[0, {"x": 3}],
        adam={0: 4},
        tuple=(5,),
        ordered=OrderedDict({"a.b": 6}),
    )
    assert state[path] == value
    assert state.get(path) == value
    assert path in state


def test_what_is_there_needs_no_default():
    assert State(a=1).get("a", 7) == 1


def test_what_is_missing_has_a_default_and_is_not_inside():
    state = State(a={"b": 1})
    assert state.get("a.c", 7) == 7
    assert state.get(3) is None
    assert "a.c" not in state
    assert 3 not in state


def test_a_missing_item_names_the_nearest_path():
    state = State(optimizer={"learning_rate": 0.1})
    with pytest.raises(MissingNameError, match=r"mean 'optimizer\.learning_rate'"):
        state["optimizer.lerning_rate"]


def test_a_missing_attribute_names_the_nearest_one():
    state = State(step=1)
    with pytest.raises(MissingNameError, match="did you mean 'step'"):
        _ = state.stpe


def test_a_missing_name_without_neighbours_lists_what_there_is():
    state = State({f"name{i}": i for i in range(13)})
    with pytest.raises(MissingNameError, match=r"name11, \.\.\.$"):
        state["zzz"]


def test_hasattr_and_protocol_probes_work():
    state = State(step=1)
    assert hasattr(state, "step")
    assert not hasattr(state, "epoch")
    assert not hasattr(state, "__array__")


def test_a_method_cannot_be_overwritten_by_a_dot():
    state = State()
    with pytest.raises(MissingNameError, match=r"write state\['items'\]"):
        state.items = 3


def test_names_are_deleted_by_a_dot():
    state = State(a=1)
    del state.a
    assert state == {}


def test_deleting_a_missing_name_is_an_error():
    state = State()
    with pytest.raises(MissingNameError, match="holds no 'a'"):
        del state.a


def test_paths_name_every_leaf_and_empty_containers():
    state = State(a={"b": [1, {"c": 2}], "d": {}}, e=(), f="text")
    assert state.paths() == ["a.b.0", "a.b.1.c", "a.d", "e", "f"]


def test_paths_stop_at_a_container_that_holds_itself():
    loop: list = [1]
    loop.append(loop)
    assert State(loop=loop).paths() == ["loop.0", "loop.1"]


def test_dir_offers_the_names():
    assert {"step", "paths"} <= set(dir(State({"step": 1, 2: 3})))


def test_the_repr_shows_class_and_content():
    assert repr(State(a=1)) == "State({'a': 1})"


@pytest.mark.parametrize("copied", [State.copy, copy.copy, copy.deepcopy])
def test_a_copy_is_a_state_of_its_own(copied):
    state = State(a={"b": 1})
    twin = copied(state)
    twin.c = 1
    assert type(twin.a) is State
    assert state == {"a": {"b": 1}}


def test_a_state_can_be_pickled():
    state = State(a={"b": 1})
    assert same(pickle.loads(pickle.dumps(state)), state)  # noqa: S301


def test_a_tree_of_states_costs_one_mark_in_the_sidecar():
    encoded = encode(State(a={"b": {"c": 1}}))
    assert encoded.document == {"a": {"b": {"c": 1}}}
    assert encoded.types == '{"format":1,"tree":"State"}' or '"in"' not in encoded.types


def test_a_plain_dict_below_a_state_stays_one():
    state = State(list=[{"a": 1}], o=OrderedDict(b={"c": 2}))
    dict.__setitem__(state, "raw", {"d": (3,)})
    dict.__setitem__(state, "empty", {})
    assert same(decode(encode(state)), state)


def test_states_share_and_contain_themselves():
    state = State(a={"b": 1})
    state.again = state.a
    state.self = state
    back = decode(encode(state))
    assert same(back, state)
    assert back.self is back


@settings(max_examples=50, deadline=None)
@given(trees)
def test_any_state_is_saved_and_loaded(tmp_path_factory, value):
    state = State(value=value)
    path = tmp_path_factory.mktemp("state") / "state.json"
    state.save(path)
    assert same(encode(State.load(path)).document, encode(state).document)


def test_a_state_reads_a_file_by_its_name(tmp_path):
    path = State(weight=torch.ones(2)).save(tmp_path / "weights.safetensors")
    assert torch.equal(State(path).weight, torch.ones(2))
    assert torch.equal(State(str(path)).weight, torch.ones(2))


def test_a_file_keeps_what_is_shared(tmp_path):
    shared = {"a": 1}
    state = State(x=shared, y=[shared])
    state.z = state.x
    back = State.load(state.save(tmp_path / "state.json"))
    assert back.x is back.z
    assert back == state


def test_loading_on_an_instance_fills_it(tmp_path):
    path = State(a={"b": 1}).save(tmp_path / "state.yaml")
    state = State(old=1)
    assert state.load(path) is state
    assert state == {"a": {"b": 1}}


def test_a_missing_file_is_an_error_with_the_nearest_name(tmp_path):
    State(a=1).save(tmp_path / "state.json")
    with pytest.raises(FormatError, match=r"did you mean '.*state\.json'"):
        State.load(tmp_path / "stat.json")


def test_a_folder_in_the_place_of_a_file_is_not_its_own_nearest_name(tmp_path):
    (tmp_path / "state.json").mkdir()
    with pytest.raises(FormatError, match="check its name and its permissions"):
        State(tmp_path / "state.json")
