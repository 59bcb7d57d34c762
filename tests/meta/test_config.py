"""A Config is plain, exact, its own, and says what is wrong with it at once."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptutils.errors import ConfigError
from ptutils.meta.config import Config, Configuration
from ptutils.meta.plain import ABSENT
from ptutils.meta.state import State

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_NAMES = st.text(max_size=4) | st.integers(0, 2)
_TREES = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        _LEAVES,
        lambda inner: (
            st.dictionaries(_NAMES, inner, max_size=3)
            | st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
        ),
        max_leaves=8,
    ),
    max_size=5,
)


def _order(value: Any) -> Any:
    """Return what shows types and the order of keys too."""
    if isinstance(value, dict):
        return [(key, _order(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [_order(item) for item in value]
    return repr(value)


def _tree() -> Config:
    return Config(
        {
            "class": "Session",
            "trainer": {
                "model": {
                    "net": {"class": "Sequential", "args": [{"out": 10}, {"0.w": 1}]},
                    "optimizer": {"class": "Adam", "lr": 0.1, "betas": (0.9, 0.99)},
                }
            },
        }
    )


def _write(folder: Path, text: str, name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


# Copies and equality


@given(_TREES)
def test_config_equals_the_dict_it_was_made_from(tree: dict[str, Any]) -> None:
    config = Config(tree)
    assert _order(config) == _order(tree)
    assert _order(config.state_dict()) == _order(tree)


@given(_TREES)
def test_copies_are_configs_of_the_same_content(tree: dict[str, Any]) -> None:
    config = Config(tree)
    copies = config.copy(), copy.deepcopy(config), pickle.loads(pickle.dumps(config))  # noqa: S301
    assert all(type(item) is Config for item in copies)
    assert all(_order(item) == _order(tree) for item in copies)


def test_config_shares_no_container_with_its_source() -> None:
    source: dict[str, Any] = {"a": [1], "o": OrderedDict(x=[1])}
    config = Config(source)
    source["a"].append(2)
    source["o"]["x"].append(2)
    assert config == {"a": [1], "o": OrderedDict(x=[1])}
    assert type(config["o"]) is OrderedDict


def test_config_shares_no_container_with_what_is_set_or_returned() -> None:
    config, value = Config(), [1]
    config.a = value
    value.append(2)
    config.state_dict()["a"].append(3)
    assert config == {"a": [1]}


def test_other_mappings_become_plain_dicts() -> None:
    config = Config({"a": MappingProxyType({"b": 1}), "s": State(x=1)})
    assert [type(value) for value in config.values()] == [dict, dict]


def test_container_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ConfigError, match="a container that contains itself"):
        Config(loop=loop)


def test_loading_a_state_replaces_everything() -> None:
    config = _tree()
    config.load_state_dict({"a": [1]})
    assert config == {"a": [1]}


def test_loading_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot load a config"):
        Config().load_state_dict([1])  # type: ignore[arg-type]


# Differences


@given(_TREES)
def test_config_does_not_differ_from_itself(tree: dict[str, Any]) -> None:
    assert Config(tree).diff(copy.deepcopy(tree)) == {}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(1, 1.0), (1, True), ((1, 2), [1, 2]), (0.0, -0.0), ([1], [1, 2]), ({}, [])],
)
def test_values_of_other_types_differ(ours: Any, theirs: Any) -> None:
    assert Config(a=ours).diff({"a": theirs}) == {"a": (ours, theirs)}


def test_difference_is_told_by_path_with_both_sides() -> None:
    changed = _tree().override("trainer.model.optimizer.betas.0=0.5", "seed=1")
    assert _tree().diff(changed) == {
        "trainer.model.optimizer.betas.0": (0.9, 0.5),
        "seed": (ABSENT, 1),
    }
    assert repr(ABSENT) == "ABSENT"


def test_arrays_are_compared_by_content() -> None:
    ours, theirs = Config(w=np.array([1.0, 2.0])), Config(w=np.array([1.0, 2.0]))
    assert ours.diff(theirs) == {}


def test_objects_that_cannot_be_compared_differ() -> None:
    assert list(Config(a=object()).diff({"a": object()})) == ["a"]


# Merging and overriding


def test_merging_goes_dict_by_dict() -> None:
    merged = _tree().merge({"trainer": {"model": {"optimizer": {"lr": 1}}}, "seed": 0})
    assert merged.trainer.model.optimizer == {
        "class": "Adam",
        "lr": 1,
        "betas": (0.9, 0.99),
    }
    assert list(merged) == ["class", "trainer", "seed"]


def test_merging_replaces_lists_as_a_whole() -> None:
    assert Config(a=[1, 2]).merge({"a": [3]}) == {"a": [3]}


@given(_TREES, _TREES)
def test_merged_config_holds_all_of_the_other_at_its_top(
    ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    merged = Config(ours).merge(theirs)
    assert set(merged.keys()) == {*ours, *theirs}
    assert _order(Config(theirs).merge(theirs)) == _order(theirs)


def test_overriding_leaves_the_original_as_it_is() -> None:
    config = _tree()
    config.override("trainer.model.optimizer.lr=1")
    assert config == _tree()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("true", True),
        ("null", None),
        ("", None),
        ("a=b", "a=b"),
        ("[1, 2]", [1, 2]),
        ("{_target_: SGD, lr: 1}", {"class": "SGD", "lr": 1}),
    ],
)
def test_override_is_read_as_yaml(text: str, value: Any) -> None:
    assert _tree().override(f"seed={text}").diff({**_tree(), "seed": value}) == {}


def test_overrides_may_be_mappings_and_later_ones_win() -> None:
    config = Config(a={"b": 1}).override({"a.b": 2, "a.c": [3]}, "a.b=4")
    assert config == {"a": {"b": 4, "c": [3]}}


def test_all_mistaken_overrides_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        _tree().override("trainr.x=1", {"class.x": 1, "trainer.modl.x": 1}, "x", "a=[")
    assert "5 faults" in str(caught.value)
    for text in ("did you mean 'trainer'", "'class' to be a dict", "'trainer.model'"):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainr.model.lr=1", "did you mean 'trainer'"),
        ("trainer.model.net.args.2=1", "one of: 0, 1"),
        ("lr", "cannot read the override 'lr'"),
        ("=1", "cannot read the override '=1'"),
        ("a=[1", "cannot read the override 'a=.1', line 1"),
    ],
)
def test_mistaken_override_is_refused(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _tree().override(change)


# References


def test_whole_reference_keeps_the_type() -> None:
    config = Config(a="${b.c}", b={"c": (1, {"d": "${e}"})}, e=0.5)
    assert config.interpolate()["a"] == (1, {"d": 0.5})


def test_reference_to_a_container_gives_a_copy() -> None:
    config = Config(a="${b}", b=[1]).interpolate()
    config["b"].append(2)
    assert config["a"] == [1]


def test_references_inside_text_are_written_out() -> None:
    config = Config(name="${net}-${lr}-${deep}", net="mlp", lr=1e-3, deep=True)
    assert config.interpolate()["name"] == "mlp-0.001-True"


@given(_TREES)
def test_config_without_references_stays_as_it_is(tree: dict[str, Any]) -> None:
    assert _order(Config(tree).interpolate()) == _order(tree)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"a": "${b}", "b": "${a}"}, "at 'a'(?s:.*)a circle: b -> a -> b"),
        ({"a": {"b": "${a}"}}, "at 'a.b'(?s:.*)a circle: a -> a"),
        ({"a": ["${mdl}"], "model": 1}, "at 'a.0'(?s:.*)did you mean 'model'"),
        ({"a": "x${b}", "b": [1]}, "write .* into a text at 'a'(?s:.*)got: +list"),
    ],
)
def test_reference_without_a_value_is_refused(
    config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(config).interpolate()


def test_all_mistaken_references_are_reported_at_once() -> None:
    with pytest.raises(ConfigError, match="references: 2 faults"):
        Config(a="${x}", b="${y}").interpolate()


# Files


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
@settings(max_examples=20)  # each waits for the disk
@given(tree=_TREES)
def test_config_saved_to_a_file_loads_equal(
    tmp_path_factory: Any, suffix: str, tree: dict[str, Any]
) -> None:
    config = Config(tree)
    path = config.save(tmp_path_factory.mktemp("config") / f"config{suffix}")
    assert _order(Config.load(path)) == _order(tree)


def test_saved_yaml_is_what_a_person_would_write(tmp_path: Path) -> None:
    config = Config(
        {"class": "Adam", "lr": 0.001, "betas": [0.9, 0.999], "fused": None}
    )
    text = config.save(tmp_path / "config.yaml").read_text()
    assert text == "class: Adam\nlr: 0.001\nbetas: [0.9, 0.999]\nfused: null\n"


@pytest.mark.parametrize("spelling", ["_target_", "func", "class"])
def test_synonyms_of_class_are_read_in_place(tmp_path: Path, spelling: str) -> None:
    text = f"net:\n- lr: 1e-3\n  {spelling}: torch.nn.Linear\n  out: 3\n"
    config = Config(_write(tmp_path, text))
    expected = {"net": [{"lr": 0.001, "class": "torch.nn.Linear", "out": 3}]}
    assert _order(config) == _order(expected)


@pytest.mark.parametrize(
    "written", [{"class": "A", "func": "B"}, {"func": 3}, {None: "x"}]
)
def test_func_that_names_no_class_stays_an_argument(written: dict[str, Any]) -> None:
    assert Config.read({"a": written}) == {"a": written}


def test_a_mapping_given_to_the_constructor_is_taken_as_it_is() -> None:
    assert Config({"func": "mean"}) == {"func": "mean"}


def test_file_may_be_named_by_text(tmp_path: Path) -> None:
    assert Config(str(_write(tmp_path, '{"a": [1]}', "c.json")), b=2) == {
        "a": [1],
        "b": 2,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got: +nothing"),
        ("- 1", "got: +list"),
        ("a: 1\na: 2", r"config\.yaml, line 2"),
        ("a:\n\tb: 1", r"config\.yaml, line 2(?s:.*)instead of tabs"),
        ("a: [1", r"config\.yaml, line 1"),
    ],
)
def test_file_that_holds_no_mapping_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError, match=message):
        Config(path)


def test_missing_file_is_refused_with_the_nearest(tmp_path: Path) -> None:
    _write(tmp_path, "a: 1")
    with pytest.raises(ConfigError, match=r"did you mean '.*config\.yaml'"):
        Config(tmp_path / "confg.yaml")


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"got: +a folder"):
        Config(tmp_path)


# Building


def test_call_builds_with_trust_and_provided_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Config, "builder", lambda *args, **kwargs: (args, kwargs))
    config = Configuration(a=1)
    expected = ((config,), {"trust": ("lab",), "provide": {"net": 3}})
    assert config(("lab",), {"net": 3}) == expected
    assert config.configure(trust=("lab",), provide={"net": 3}) == expected


def test_without_a_builder_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "builder", None)
    with pytest.raises(ConfigError, match="nothing that builds is loaded"):
        Config()()
