"""Bars on a real terminal, silence everywhere else."""

from __future__ import annotations

import re
import subprocess
import sys

import pexpect

from tests.terminal import Terminal, unstyled

PROGRAM = """
import sys, torch
import ptutils
from ptutils import DataLoader, DataProvider, Dataset, build

torch.set_num_threads(1)
inputs, targets = torch.randn(40, 3).numpy(), torch.randn(40, 1).numpy()
data = Dataset(ptutils.ArrayReader(inputs, targets))
loaders = {"train": DataLoader(batch_size=4), "valid": DataLoader(batch_size=40)}
provider = DataProvider({"train": data, "valid": data}, loaders)
net = torch.nn.Linear(3, 1)
optimizer = build(torch.optim.SGD, lr=0.01)
model = ptutils.Model(net, criterion=torch.nn.MSELoss(), optimizer=optimizer)
class Last(ptutils.Callback):
    def end_of_training_step(self, loss):
        self.loss = float(loss)

last = Last()
trainer = ptutils.Trainer(model, callbacks=[ptutils.Progress(), last])
for duration in sys.argv[1:]:
    trainer.train(provider, schedule=ptutils.Schedule(duration))
    print(f"the last loss was {last.loss:.4g}", file=sys.stderr)
print("done")
"""


def screen_of(program: pexpect.spawn[str]) -> list[str]:
    program.expect(pexpect.EOF)
    return unstyled(program.before).splitlines()


def last(lines: list[str], start: str) -> str:
    return next(line for line in reversed(lines) if line.startswith(start))


def test_bars_show_where_training_is(terminal: Terminal) -> None:
    lines = screen_of(terminal("-c", PROGRAM, "3 epochs", columns=120))

    assert "3/3 epochs" in last(lines, "run")
    assert "valid.loss" in last(lines, "run")
    assert "10/10" in last(lines, "epoch")
    assert "train.loss" in last(lines, "epoch")
    assert lines[-1] == "done"


def test_loss_of_epochs_shorter_than_the_refresh_is_the_latest(
    terminal: Terminal,
) -> None:
    lines = screen_of(terminal("-c", PROGRAM, "40 epochs", columns=120))
    loss = last(lines, "the last loss was ").split()[-1]

    assert f"train.loss {loss} " in last(lines, "epoch")


def test_bars_count_in_the_unit_of_the_schedule(terminal: Terminal) -> None:
    lines = screen_of(terminal("-c", PROGRAM, "15 steps", columns=120))

    assert "15/15 steps" in last(lines, "run")


def test_bars_go_on_inside_an_epoch(terminal: Terminal) -> None:
    lines = screen_of(terminal("-c", PROGRAM, "15 steps", "17 steps", columns=120))

    assert "17/17 steps" in last(lines, "run")
    assert "7/10" in last(lines, "epoch")


def test_bars_end_with_the_terminal_as_it_was(terminal: Terminal) -> None:
    program = terminal("-c", PROGRAM, "1 epoch")
    program.expect_exact("\x1b[?25l")  # The cursor is hidden,
    program.expect_exact("\x1b[?25h")  # and shown again.


def test_nothing_is_written_where_there_is_no_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "1 epoch"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "done\n"
    assert re.fullmatch(r"the last loss was \S+\n", done.stderr)
