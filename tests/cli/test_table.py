"""Tables are aligned for people and separated by tabs for programs."""

from __future__ import annotations

import pexpect
import pytest

from ptutils.cli.table import Column, print_table
from tests.terminal import Terminal, unstyled

PROGRAM = """
from ptutils.cli.table import Column, print_table
names = Column(title="name", cells=["adam", "sgd"], styles={"adam": "red"})
rates = Column(title="rate", cells=["0.001", "10"], is_number=True)
wide = Column(title="note", cells=["x" * 99, ""])
print("hidden:", print_table([names, rates, wide]))
"""


def lines_in(terminal: Terminal, columns: int) -> list[str]:
    program = terminal("-c", PROGRAM, columns=columns)
    program.expect(pexpect.EOF)
    return [line.rstrip() for line in unstyled(program.before).splitlines()]


def test_pipe_gets_all_columns_separated_by_tabs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hidden = print_table(
        [Column(title="a", cells=["1", "x" * 300]), Column(title="b", cells=["", "2"])]
    )

    assert hidden == 0
    assert capsys.readouterr().out == f"a\tb\n1\t\n{'x' * 300}\t2\n"


def test_terminal_gets_aligned_columns(terminal: Terminal) -> None:
    assert lines_in(terminal, 60) == [
        "name   rate  note",
        f"adam  0.001  {'x' * 31}…",
        "sgd      10",
        "hidden: 0",
    ]


def test_columns_that_do_not_fit_are_left_out_and_counted(terminal: Terminal) -> None:
    assert lines_in(terminal, 20) == [
        "name   rate",
        "adam  0.001",
        "sgd      10",
        "hidden: 1",
    ]


def test_cell_has_the_colour_of_its_text(terminal: Terminal) -> None:
    program = terminal("-c", PROGRAM)
    program.expect_exact("\x1b[31madam\x1b[0m")
