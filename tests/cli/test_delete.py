"""Nothing is deleted by accident."""

from __future__ import annotations

import pexpect
import pytest

from tests.cli.conftest import Command, Kept
from tests.terminal import Terminal


def test_runs_are_deleted_once_that_is_confirmed(command: Command, kept: Kept) -> None:
    first, second, other = kept(), kept(), kept()
    done = command("delete", first, second, "--yes")

    assert done.out == f"run {first} is deleted\nrun {second} is deleted\n"
    assert [other in command("ls").out, first in command("ls").out] == [True, False]


def test_nothing_is_deleted_where_nobody_can_be_asked(
    command: Command, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = kept()
    done = command("delete", run)

    assert done.code == 2
    assert "add --yes" in done.err
    assert run in command("ls").out


def test_nothing_is_deleted_if_one_run_is_unknown(command: Command, kept: Kept) -> None:
    run = kept()

    assert command("delete", run, "zzz", "--yes").code == 1
    assert run in command("ls").out


@pytest.mark.parametrize(("answer", "deleted"), [("y", True), ("n", False)])
def test_terminal_is_asked(
    command: Command, kept: Kept, terminal: Terminal, answer: str, deleted: bool
) -> None:
    run = kept()
    program = terminal("-m", "ptutils.cli", "delete", run)
    program.expect(f"run {run}: test, completed, step 4")
    program.expect_exact("Delete for good? [y/N]: ")
    program.sendline(answer)
    program.expect(pexpect.EOF)
    program.close()

    assert program.exitstatus == (0 if deleted else 1)
    assert (run in command("ls").out) is not deleted
