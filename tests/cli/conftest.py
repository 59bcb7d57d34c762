"""The command, run in this process; and a folder with an experiment to run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ptutils.cli.main import main
from ptutils.db.sqlite.interface import SQLiteInterface
from tests.core.stored import ENCODED, FIELDS, Writer

CONFIG = """\
class: Session
experiment: tiny
schedule: {duration: 2 epochs, checkpoint: 1 epoch}
dataprovider:
  class: DataProvider
  datasets:
    train: {class: Digits, split: valid}
    valid: {class: Digits, split: valid}
  loaders:
    train: {class: DataLoader, batch_size: 75, shuffle: true}
    valid: {class: DataLoader, batch_size: 225}
trainer:
  model:
    net:
      class: torch.nn.Sequential
      args:
        - {class: torch.nn.Flatten}
        - {class: torch.nn.Linear, in_features: 64, out_features: 10}
    criterion: {class: torch.nn.CrossEntropyLoss}
    optimizer: {class: torch.optim.SGD, lr: 0.1}
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]
Kept = Callable[..., str]


def run_id(output: str) -> str:
    """Return the id that a command has printed of a run that it trained."""
    found = re.search(r"^run (\w+) completed", output, re.MULTILINE)
    assert found, output
    return found[1]


@pytest.fixture
def command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run ``ptutils`` with some words, in a folder that holds ``tiny.yaml``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PTUTILS_DB", raising=False)
    (tmp_path / "tiny.yaml").write_text(CONFIG)

    def run(*words: str) -> Done:
        monkeypatch.setattr("sys.argv", ["ptutils", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        code = stopped.value.code or 0
        assert isinstance(code, int)
        return Done(code=code, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Store a run in the folder's ``runs.db`` as if it had been trained; give its id.

    Args:
        experiment: Its experiment.
        loss: Its last loss.
        config: Settings of its own.
    """

    def keep(experiment: str = "test", loss: float = 0.25, **config: Any) -> str:
        with SQLiteInterface(str(tmp_path / "runs.db")) as db:
            writer = Writer(db)
            fields = {**FIELDS, "experiment": experiment}
            encoded = {**ENCODED, "config": {**ENCODED["config"], **config}}
            run = writer.recorder.create(fields, encoded)
            for step, value in ((2, 0.5), (4, loss)):
                writer.history.record(step, 0, "loss", value)
                writer.status.advance(step, 0)
                writer.save(step)
            writer.end()
        return run

    return keep
