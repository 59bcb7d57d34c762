"""Dots and dotted paths read and write what a Config stores."""

from __future__ import annotations

import copy

import pytest

from ptutils.errors import ConfigError, MissingNameError
from ptutils.meta.config import Config
from ptutils.meta.dots import DotsView


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


def test_dots_read_and_write_the_stored_values() -> None:
    config = _tree()
    config.trainer.model.optimizer.lr = 0.2
    assert config.trainer.model.optimizer.lr == 0.2
    assert config["trainer.model.optimizer.lr"] == 0.2


def test_dotted_paths_write_into_lists_and_tuples() -> None:
    config = _tree()
    config["trainer.model.net.args.0.out"] = 7
    config["trainer.model.optimizer.betas.0"] = 0.5
    assert config.trainer.model.net.args[0] == {"out": 7}
    assert config.trainer.model.optimizer.betas == (0.5, 0.99)


def test_stored_containers_are_plain() -> None:
    config = _tree()
    config.extra = Config(a=Config(b=1))
    assert type(config["trainer"]) is dict
    assert type(config["extra.a"]) is dict


def test_view_is_a_mapping_that_equals_its_dict() -> None:
    config = _tree()
    view = config.trainer
    assert isinstance(view, DotsView)
    assert (list(view), len(view)) == (["model"], 1)
    assert (view == config["trainer"], repr(view)) == (True, repr(config["trainer"]))


def test_copied_view_is_a_view_of_a_copy() -> None:
    config = _tree()
    view = copy.deepcopy(config.trainer)
    view.model = 3
    assert (view.model, config.trainer.model == 3) == (3, False)


def test_names_are_deleted_by_dot_and_by_path() -> None:
    config = _tree()
    del config.trainer.model.optimizer
    del config["trainer.model.net.args.0"]
    del config["class"]
    assert config == {
        "trainer": {"model": {"net": {"class": "Sequential", "args": [{"0.w": 1}]}}}
    }


def test_hasattr_and_in_tell_what_there_is() -> None:
    config = _tree()
    assert hasattr(config, "trainer")
    assert not hasattr(config, "trainr")
    assert "trainer.model" in config
    assert "trainer.modl" not in config
    assert 3 not in config


def test_get_takes_paths_and_a_default() -> None:
    config = _tree()
    assert config.get("trainer.model.optimizer.lr") == 0.1
    assert config.get("trainer.nothing", 7) == 7


def test_pop_setdefault_and_update_take_paths() -> None:
    config = _tree()
    config.update({"trainer.model.optimizer.lr": 0.5})
    assert config.pop("trainer.model.optimizer.lr") == 0.5
    assert config.setdefault("trainer.model.optimizer.lr", 0.7) == 0.7


def test_missing_name_raises_with_the_nearest() -> None:
    with pytest.raises(MissingNameError, match=r"did you mean 'trainer\.model'"):
        _ = _tree()["trainer.modl"]


def test_missing_attribute_raises_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'trainer'"):
        _ = _tree().trainr


def test_name_of_a_method_is_set_by_item_only() -> None:
    config = _tree()
    with pytest.raises(ConfigError, match=r"config\['items'\] = \.\.\."):
        config.items = 3
    config["items"] = 3
    assert config["items"] == 3


def test_setting_below_what_is_not_there_is_refused() -> None:
    config = _tree()
    with pytest.raises(ConfigError, match=r"cannot set a value at 'trainr\.x'"):
        config["trainr.x"] = 1
