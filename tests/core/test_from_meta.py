from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import ptutils
from ptutils.core.building.builder import build
from ptutils.core.catalogue import CATALOGUE, find
from ptutils.errors import ConfigError, StateMismatchError, TrustError
from ptutils.meta.codec import encode
from tests.core.samples import Branch, Echo, Leaf, Spread, Typed, net


def model() -> ptutils.Model:
    return ptutils.Model(
        net(),
        criterion=build(torch.nn.MSELoss),
        optimizer=build(torch.optim.AdamW, lr=0.01),
        scheduler=build(torch.optim.lr_scheduler.StepLR, step_size=2),
        metrics={"error": build("torchmetrics.MeanSquaredError")},
    )


def trainer() -> ptutils.Trainer:
    return ptutils.Trainer(model(), callbacks=[ptutils.NaNDetector(every=2)])


def dataset() -> ptutils.Dataset:
    reader = ptutils.ArrayReader([[1.0, 2.0]], [[1.0]])
    return ptutils.Dataset(reader, transform=ptutils.Noise(0.5))


def provider() -> ptutils.DataProvider:
    loader = ptutils.DataLoader(batch_size=1, shuffle=True, seed=3)
    return ptutils.DataProvider({"train": dataset()}, {"train": loader})


def session() -> ptutils.Session:
    return ptutils.Session(
        trainer(),
        dataprovider=provider(),
        dbinterface=None,
        schedule=ptutils.Schedule("2 epochs", keep={"last": 3}),
        tags=["a"],
    )


MAKERS: dict[str, Callable[[Path], ptutils.Module]] = {
    "ArrayReader": lambda path: ptutils.ArrayReader([1.0, 2.0], [0, 1]),
    "Callback": lambda path: ptutils.Callback(),
    "DataLoader": lambda path: ptutils.DataLoader(dataset(), batch_size=1),
    "DataProvider": lambda path: provider(),
    "DataReader": lambda path: ptutils.DataReader(),
    "Dataset": lambda path: dataset(),
    "Digits": lambda path: ptutils.Digits("valid", transform=ptutils.Shift(2)),
    "Trace": lambda path: ptutils.Trace(),
    "EarlyStopping": lambda path: ptutils.EarlyStopping(patience=3),
    "Epoch": lambda path: ptutils.Epoch(),
    "Fit": lambda path: ptutils.Fit(),
    "FitBatch": lambda path: ptutils.FitBatch(extra=ptutils.Update()),
    "Gradient": lambda path: ptutils.Gradient(),
    "Looper": lambda path: ptutils.Looper(),
    "Loss": lambda path: ptutils.Loss(),
    "MemoryInterface": lambda path: ptutils.MemoryInterface(),
    "Model": lambda path: model(),
    "Module": lambda path: ptutils.Module(),
    "NaNDetector": lambda path: ptutils.NaNDetector(every=3),
    "Noise": lambda path: ptutils.Noise(0.5),
    "Progress": lambda path: ptutils.Progress(),
    "FileInterface": lambda path: ptutils.FileInterface(str(path / "lab")),
    "MongoInterface": lambda path: ptutils.MongoInterface("mongodb://localhost/lab"),
    "SQLiteInterface": lambda path: ptutils.SQLiteInterface(str(path / "runs.db")),
    "Sampler": lambda path: ptutils.Sampler(),
    "Schedule": lambda path: ptutils.Schedule("3 epochs", checkpoint="5 steps"),
    "SequentialSampler": lambda path: ptutils.SequentialSampler(),
    "Session": lambda path: session(),
    "Shift": lambda path: ptutils.Shift(2),
    "ShuffledSampler": lambda path: ptutils.ShuffledSampler(seed=4),
    "Trainer": lambda path: trainer(),
    "Transform": lambda path: ptutils.Transform(),
    "Update": lambda path: ptutils.Update(),
    "Validate": lambda path: ptutils.Validate(),
    "ValidateBatch": lambda path: ptutils.ValidateBatch(),
    "tests/Branch": lambda path: Branch(Leaf(2), net(), many=[Leaf()]),
    "tests/Echo": lambda path: Echo("hi"),
    "tests/Leaf": lambda path: Leaf(3),
    "tests/Spread": lambda path: Spread(1, 2, 3, x=4),
    "tests/Typed": lambda path: Typed(Leaf(), betas=(0.5, 0.6)),
}
ABSTRACT = {"DBInterface", "Stage"}


def written(module: ptutils.Module) -> list[Any]:
    """Write down all of a module, to compare it."""
    parts = [module.state_dict(), module.config, module.status, module.history]
    return [encode(part.state_dict()) for part in [*parts, module.callbacks]]


def is_same(one: ptutils.Module, other: ptutils.Module) -> bool:
    return written(one) == written(other)


def closed(module: Any) -> contextlib.AbstractContextManager[Any]:
    is_database = isinstance(module, ptutils.DBInterface)
    return module if is_database else contextlib.nullcontext(module)


@pytest.mark.parametrize("name", MAKERS)
def test_meta_gives_the_same_again(name: str, tmp_path: Path) -> None:
    with closed(MAKERS[name](tmp_path)) as module:
        module.status.to("running")
        module.history.record(1, 0, "loss", 0.5)
        module.register_callback(Echo("mine"))
        module.callbacks["echo"].state.heard = 7
        module.state.note = "kept"
        before = written(module)
        with closed(type(module).from_meta(**module.to_meta())) as twin:
            assert type(twin) is type(module)
            assert twin is not module
            assert written(twin) == before


def test_every_module_of_the_package_keeps_the_law() -> None:
    modules = {
        name
        for name in CATALOGUE
        if isinstance(find(name), type) and issubclass(find(name), ptutils.Module)
    }
    assert modules - ABSTRACT <= set(MAKERS)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import a package that the caller has written, and trusts."""
    (tmp_path / "own_lab.py").write_text(
        "import ptutils\n"
        "class Inner(ptutils.Module):\n"
        "    def __init__(self, depth=1):\n"
        "        self.state.depth = depth\n"
        "class Outer(ptutils.Module):\n"
        "    def __init__(self, inner):\n"
        "        self.inner = inner\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("own_lab")
    del sys.modules["own_lab"]


def test_meta_of_a_trusted_class_gives_the_same_again(lab: Any) -> None:
    outer = lab.Outer(lab.Inner(3))
    twin = lab.Outer.from_meta(**outer.to_meta(), trust=["own_lab"])
    assert is_same(twin, outer)


def test_class_that_is_named_in_person_is_trusted_its_children_are_not(
    lab: Any,
) -> None:
    assert lab.Inner.from_meta(config={"depth": 4}).state.depth == 4
    with pytest.raises(TrustError, match=r"refused to resolve 'own_lab\.Inner'"):
        lab.Outer.from_meta(config=lab.Outer(lab.Inner()).config)


def test_callback_that_is_handed_over_in_person_is_trusted() -> None:
    class Private(Echo):
        pass

    leaf = Leaf()
    leaf.register_callback(Private())
    assert "private" in Leaf.from_meta(callbacks=leaf.callbacks).callbacks


def test_class_may_be_left_out_of_the_config() -> None:
    assert Leaf.from_meta(config={"width": 3}).width == 3


def test_config_may_be_left_out() -> None:
    assert Leaf.from_meta().config == {"class": "tests/Leaf"}


def test_derived_class_is_built_by_its_base() -> None:
    assert isinstance(ptutils.Module.from_meta(config={"class": "tests/Leaf"}), Leaf)


def test_class_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot build a Leaf from this config"):
        Leaf.from_meta(config={"class": "tests/Branch"})


def test_class_is_read_under_its_synonym() -> None:
    found = ptutils.Module.from_meta(config={"_target_": "tests/Leaf"})
    assert isinstance(found, Leaf)


def test_hand_made_net_is_provided() -> None:
    layer = torch.nn.Linear(2, 1)
    branch = Branch(layer)
    with pytest.raises(ConfigError, match=r"provide=\{'left': \.\.\.\}"):
        Branch.from_meta(config=branch.config)
    assert Branch.from_meta(config=branch.config, provide={"left": layer}).left is layer


def leaf_with_everything() -> Leaf:
    leaf = Leaf(3)
    leaf.state.count = 5
    leaf.status.to("running")
    leaf.history.record(1, 0, "loss", 0.5)
    return leaf


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_every_part_may_be_a_file(tmp_path: Path, suffix: str) -> None:
    leaf = leaf_with_everything()
    meta = leaf.to_meta()
    names = ("config", "state", "status", "history")
    files = {name: meta[name].save(tmp_path / f"{name}{suffix}") for name in names}
    assert is_same(Leaf.from_meta(**files), leaf)
    assert is_same(Leaf.from_meta(**{k: str(v) for k, v in files.items()}), leaf)


def test_every_part_may_be_a_dict() -> None:
    leaf = leaf_with_everything()
    meta = leaf.to_meta()
    twin = Leaf.from_meta(
        config=dict(meta["config"]),
        state=dict(meta["state"]),
        status=meta["status"].state_dict(),
        history=meta["history"].state_dict(),
    )
    assert is_same(twin, leaf)


def test_callbacks_may_be_configs_by_name() -> None:
    leaf = Leaf.from_meta(callbacks={"loud": {"class": "tests/Echo", "word": "a"}})
    assert leaf.callbacks["loud"].config["word"] == "a"


def test_callbacks_may_be_a_file_of_configs(tmp_path: Path) -> None:
    path = tmp_path / "callbacks.yaml"
    path.write_text("loud: {class: tests/Echo, word: a}\n")
    assert Leaf.from_meta(callbacks=path).callbacks["loud"].config["word"] == "a"


def test_callback_of_a_text_is_not_trusted() -> None:
    with pytest.raises(TrustError, match="refused"):
        Leaf.from_meta(callbacks={"a": {"class": "os.system"}})


def test_callbacks_that_the_config_built_are_not_doubled() -> None:
    first = trainer()
    assert len(ptutils.Trainer.from_meta(**first.to_meta()).callbacks) == 1


def test_instance_takes_what_is_given_and_is_returned() -> None:
    old, new = leaf_with_everything(), Leaf(3)
    assert new.from_meta(**old.to_meta()) is new
    assert is_same(new, old)


def test_instance_takes_a_part_alone() -> None:
    leaf = leaf_with_everything()
    leaf.from_meta(state={"state": {"count": 9}})
    assert leaf.state.count == 9
    assert leaf.history.last("loss").value == 0.5


def test_instance_refuses_another_config() -> None:
    with pytest.raises(ConfigError, match="differences at width"):
        Leaf(3).from_meta(config={"width": 4})


def test_state_that_does_not_fit_is_refused() -> None:
    with pytest.raises(StateMismatchError, match=r"missing state\.count"):
        Leaf.from_meta(state={"state": {"cuont": 3}})


def test_grown_net_is_rebuilt_as_it_was() -> None:
    branch = Branch(net(2))
    branch.left = net(5)
    twin = Branch.from_meta(**branch.to_meta())
    assert twin.left.in_features == 5
    assert is_same(twin, branch)


def test_sharing_comes_back() -> None:
    layer = net()
    twin = Branch.from_meta(**Branch(layer, layer).to_meta())
    assert twin.left is twin.right


def test_callbacks_under_names_of_their_own_come_back_under_them() -> None:
    watchers = {"early": ptutils.EarlyStopping(), "late": ptutils.NaNDetector()}
    one = ptutils.Trainer(model(), callbacks=watchers)
    other = ptutils.Trainer.from_meta(**one.to_meta())
    assert list(other.callbacks.keys()) == ["early", "late"]
    assert other.config == one.config
    assert isinstance(one.config["callbacks"], dict)


def test_states_of_callbacks_come_back_from_a_file(tmp_path: Path) -> None:
    one = ptutils.Trainer(model(), callbacks=[ptutils.EarlyStopping()])
    one.callbacks["early_stopping"].state.waited = 3
    path = one.callbacks.save(tmp_path / "callbacks.json")
    other = ptutils.Trainer(model(), callbacks=[ptutils.EarlyStopping()])
    other.from_meta(callbacks=path)
    assert other.callbacks["early_stopping"].state.waited == 3


def test_stage_replaced_deep_in_a_default_comes_back() -> None:
    one = trainer()
    one.looper.epoch.fit = ptutils.Fit(probe=ptutils.FitBatch())
    rebuilt = build(one.config)
    assert isinstance(rebuilt.looper.epoch.fit.probe, ptutils.FitBatch)
    assert "looper" not in trainer().config
