"""The commands are explained where a person looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptutils.cli.main import COMMANDS
from tests.cli.conftest import Command

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def test_help_lists_all_commands_in_whole_sentences(command: Command) -> None:
    listed = command("--help").out.partition("Commands:\n")[2].splitlines()

    assert [line.split()[0] for line in listed] == list(COMMANDS)
    assert all(line.endswith(".") and not line.endswith("..") for line in listed)


def test_help_of_the_program_lists_all_commands_whatever_follows(
    command: Command,
) -> None:
    assert "  gc " in command("--help", "ls").out


@pytest.mark.parametrize("name", COMMANDS)
def test_command_explains_itself(command: Command, name: str) -> None:
    done = command(name, "--help")

    assert done.code == 0
    assert done.out.startswith(f"Usage: ptutils {name} ")


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_an_example_that_the_tests_run(name: str) -> None:
    assert f"\nptutils {name}" in PAGE.read_text()


def test_mistyped_command_suggests_the_nearest(command: Command) -> None:
    done = command("chekpoint", "x")

    assert done.code == 2
    assert "Did you mean 'checkpoint'?" in done.err
