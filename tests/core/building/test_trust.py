from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import ptutils
from ptutils.core.building import trust
from ptutils.core.building.builder import build
from ptutils.core.building.trust import name_for, resolve, spelled
from ptutils.errors import ConfigError, TrustError
from ptutils.meta import registry
from ptutils.meta.codec import Encoded, decode

LAB = """
import os
import subprocess
from os import system
from subprocess import Popen

class Net:
    class Inner:
        pass

Alias = Net

def helper():
    return os

eager = Net()
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put a package on the path whose import leaves a file behind."""
    folder = tmp_path / "canary_lab"
    folder.mkdir()
    mark = f"open({str(tmp_path / 'sang')!r}, 'w').close()\n"
    (folder / "__init__.py").write_text(mark + LAB)
    (folder / "broken.py").write_text("import no_such_module_at_all\n")
    (folder / "failing.py").write_text("raise RuntimeError('no GPU here')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("canary_lab")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "name",
    [
        "torch.os.system",
        "torch.serialization.os.mkdir",
        "builtins.eval",
        "ptutils.core.module.torch",
        "ptutils.core.building.trust.resolve",
        "os.system",
        "subprocess.Popen",
        "torch.nn.Module.__init_subclass__",
        "torch.nn.__builtins__.eval",
        "torch.nn.Linear.__init__",
        "torch..nn.Linear",
        "torch.nn..Linear",
        ".torch.nn.Linear",
        "torch.nn.Linear.",
        "torch.nn. Linear",
        "torch.nn/Linear.x",
        "t\u043erch.nn.Linear",
        "__main__.Net",
        "..",
        "torch.nn.Parameter",
        "torch.optim.Optimizer.__subclasses__",
        "torch.load",
        "torch.hub.load",
        "numpy.memmap",
    ],
)
def test_name_outside_of_what_is_trusted_is_refused(name: str) -> None:
    with pytest.raises(TrustError, match="refused to resolve"):
        resolve(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("torch.nn.functional.relu", "a function"),
        ("torch.nn.init", "a module"),
        ("torch.nn.modules.module.warnings.warn", "no module named"),
        ("torch.nn.Linear.forward", "no module named 'torch.nn.Linear'"),
        ("torch.nn.no_such_module.Linear", "no module named"),
        ("torch.nn.Linaer", "did you mean 'torch.nn.Linear'"),
        ("torch.nn.Qqqqqqqqqq", "correct the name"),
        ("torch.nn.parallel.data_parallel.Qqqqqq.x", "no module named"),
    ],
)
def test_name_within_torch_that_is_no_class_is_refused(name: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        resolve(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("torch.nn.Linear", torch.nn.Linear),
        ("torch.nn.modules.linear.Linear", torch.nn.Linear),
        ("torch.optim.AdamW", torch.optim.AdamW),
        ("torch.optim.lr_scheduler.StepLR", torch.optim.lr_scheduler.StepLR),
        ("Trainer", ptutils.Trainer),
        ("ptutils.Trainer", ptutils.Trainer),
    ],
)
def test_trusted_name_resolves_to_its_class(name: str, expected: type) -> None:
    assert resolve(name) is expected


def test_metric_of_torchmetrics_resolves_to_its_class() -> None:
    found = resolve("torchmetrics.classification.MulticlassAccuracy")
    assert name_for(found) == "torchmetrics.classification.MulticlassAccuracy"


def test_class_of_torchmetrics_that_is_no_metric_is_refused() -> None:
    with pytest.raises(TrustError, match=r"not a torchmetrics\.metric\.Metric"):
        resolve("torchmetrics.MetricCollection")


def test_untrusted_package_is_not_imported(lab: Path) -> None:
    with pytest.raises(TrustError, match=r"trust=\['canary_lab'\]"):
        resolve("canary_lab.Net")
    assert not (lab / "sang").exists()


@pytest.mark.parametrize(
    "name", ["canary_lab_two.Net", "xcanary_lab.Net", "canary_lab..Net", "canary_lab."]
)
def test_name_that_resembles_a_trusted_one_is_refused(lab: Path, name: str) -> None:
    with pytest.raises(TrustError, match="refused to resolve"):
        resolve(name, trust=["canary_lab"])
    assert not (lab / "sang").exists()


def test_class_of_a_package_trusted_at_the_call_resolves(lab: Path) -> None:
    assert resolve("canary_lab.Net", trust=["canary_lab"]).__name__ == "Net"
    assert (lab / "sang").exists()


def test_one_package_may_be_given_as_text(lab: Path) -> None:
    assert resolve("canary_lab.Net", trust="canary_lab").__name__ == "Net"


def test_class_of_a_package_trusted_by_the_program_resolves(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_TRUSTED", set())
    ptutils.trust("canary_lab")
    assert resolve("canary_lab.Net").__name__ == "Net"


def test_class_of_a_package_trusted_by_the_environment_resolves(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTUTILS_TRUST", "other, canary_lab,")
    assert resolve("canary_lab.Net").__name__ == "Net"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("canary_lab.system", "an object of builtin_function_or_method"),
        ("canary_lab.Popen", "only imported there, it is subprocess.Popen"),
        ("canary_lab.os.system", "no module named 'canary_lab.os'"),
        ("canary_lab.subprocess.Popen", "no module named 'canary_lab.subprocess'"),
        ("canary_lab.helper", "a function"),
        ("canary_lab.eager", "an object of Net"),
        ("canary_lab.Alias", "another name of canary_lab.Net"),
        ("canary_lab.Net.Inner", "no module named 'canary_lab.Net'"),
        ("canary_lab.__dict__", "not the dotted path of a class"),
    ],
)
def test_trusted_package_gives_its_own_classes_only(
    lab: Path, name: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        resolve(name, trust=["canary_lab"])


def test_failing_import_in_a_trusted_package_is_shown_as_such(lab: Path) -> None:
    with pytest.raises(ConfigError, match="RuntimeError: no GPU here") as caught:
        resolve("canary_lab.failing.Net", trust=["canary_lab"], path="net.class")
    assert "cannot import 'canary_lab.failing' at 'net.class'" in str(caught.value)


def test_import_of_what_is_not_installed_is_shown_as_such(lab: Path) -> None:
    with pytest.raises(ConfigError, match="No module named 'no_such_module_at_all'"):
        resolve("canary_lab.broken.Net", trust=["canary_lab"])


def test_trusted_package_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="no module named 'absent_lab'"):
        resolve("absent_lab.nets.Net", trust=["absent_lab"])


def test_more_of_torch_is_found_when_the_caller_trusts_it() -> None:
    found = resolve("torchmetrics.MetricCollection", trust=["torchmetrics"])
    assert found.__name__ == "MetricCollection"


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("build", "a function"),
        ("State", "the class State, which is no Module"),
        ("ptutils.trust", "a function"),
    ],
)
def test_public_name_that_is_no_module_is_not_built(name: str, got: str) -> None:
    with pytest.raises(ConfigError, match=got):
        resolve(name)


def test_mistyped_public_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'Trainer'"):
        resolve("Trianer")


def test_unknown_name_is_answered_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"@ptutils\.register"):
        resolve("Zzzzzzzzzz")


def test_name_in_another_case_is_spelled_right() -> None:
    assert spelled("nandetector") == "NaNDetector"
    assert spelled("NaNDetector") == "NaNDetector"
    assert spelled("unheard") == "unheard"


def test_class_goes_by_its_shortest_name() -> None:
    assert name_for(torch.nn.Linear) == "torch.nn.Linear"
    assert name_for(torch.optim.SGD) == "torch.optim.SGD"
    assert name_for(ptutils.Trainer) == "Trainer"
    assert name_for(Path) == "pathlib.Path"
    assert name_for(torch.nn.Parameter) == "torch.nn.Parameter"


def test_our_class_stays_within_reach_when_its_name_is_registered_anew() -> None:
    @ptutils.register(name="Sampler")
    class Mine:
        pass

    try:
        assert resolve(name_for(Mine)) is Mine
        assert resolve(name_for(ptutils.Sampler)) is ptutils.Sampler
    finally:
        del registry._BY_NAME["Sampler"]


STORED = ["os.system", "subprocess.Popen", "canary_lab.Net", "torch.os.system"]


@pytest.mark.parametrize("name", STORED)
def test_stored_document_that_names_it_is_refused(lab: Path, name: str) -> None:
    document = {"class": "Trainer", "model": {"class": name, "args": ["touch x"]}}
    stored = decode(Encoded(document=document, types="", artifacts=()))
    with pytest.raises(TrustError, match="refused to resolve") as caught:
        build(stored)
    assert caught.value.path == "model.class"
    assert not (lab / "sang").exists()


def test_working_directory_is_not_trusted(lab: Path) -> None:
    code = (
        "import ptutils\n"
        "try:\n    ptutils.build({'class': 'canary_lab.Net'})\n"
        "except PermissionError as error:\n    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=lab,
        check=True,
    )
    assert "refused to resolve 'canary_lab.Net'" in result.stdout
    assert not (lab / "sang").exists()


@pytest.mark.parametrize("name", ["torch.os.system", "os.system", "builtins.eval"])
def test_trusting_what_everybody_has_is_not_advised(name: str) -> None:
    with pytest.raises(TrustError) as refused:
        resolve(name)
    assert "--trust" not in refused.value.fix
    assert "@ptutils.register" in refused.value.fix


def test_trusted_package_is_asked_for_a_name_that_it_registers(
    lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "import ptutils\n@ptutils.register\nclass CanaryNet:\n    pass\n"
    (lab / "canary_lab" / "names.py").write_text(names)
    monkeypatch.setattr(registry, "_BY_NAME", dict(registry._BY_NAME))
    with pytest.raises(ConfigError, match="unknown class 'CanaryNet'"):
        resolve("CanaryNet")
    found = resolve("CanaryNet", trust=["canary_lab", "canary_lab.names"])
    assert found.__module__ == "canary_lab.names"
    with pytest.raises(ConfigError, match="unknown class 'CanaryNut'"):
        resolve("CanaryNut", trust=["canary_lab"])
