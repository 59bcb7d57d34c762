"""Tables are drawn for people, whatever their cells hold."""

from __future__ import annotations

import io

import pexpect
import pytest
from rich.console import Console

from ptutils.core.results.table import Column, Table
from tests.terminal import Terminal, unstyled

PROGRAM = """
import rich
from ptutils.core.results.table import Column, Table
names = Column(title="name", cells=["adam", "sgd"], styles={"adam": "red"})
rates = Column(title="rate", cells=["0.001", "10"], is_number=True)
wide = Column(title="note", cells=["x" * 99, ""])
table = Table([names, rates, wide])
"""


def lines_in(terminal: Terminal, columns: int, show: str) -> list[str]:
    program = terminal("-c", f"{PROGRAM}{show}(table)", columns=columns)
    program.expect(pexpect.EOF)
    return [line.rstrip() for line in unstyled(program.before).splitlines()]


def table(**cells: list[str]) -> Table:
    columns = [Column(title=name, cells=values) for name, values in cells.items()]
    return Table(columns)


@pytest.mark.parametrize("show", ["print", "rich.print"])
def test_terminal_gets_aligned_columns(terminal: Terminal, show: str) -> None:
    assert lines_in(terminal, 60, show) == [
        "name   rate  note",
        f"adam  0.001  {'x' * 31}…",
        "sgd      10",
    ]


@pytest.mark.parametrize("show", ["print", "rich.print"])
def test_columns_that_do_not_fit_are_named(terminal: Terminal, show: str) -> None:
    assert lines_in(terminal, 40, show) == [
        "name   rate",
        "adam  0.001",
        "sgd      10",
        "not shown for want of room: note",
    ]


def test_one_column_is_shown_however_narrow_the_terminal_is() -> None:
    file = io.StringIO()
    Console(file=file, width=10).print(table(name=["x" * 30], other=["y"]))

    assert file.getvalue().startswith("name")
    assert "xxxxxxxxx…" in file.getvalue()


def test_columns_to_keep_are_shortened_instead() -> None:
    columns = [Column(title=name, cells=["x" * 20]) for name in ("path", "a", "b")]
    file = io.StringIO()
    Console(file=file, width=40).print(Table(columns, keep=3))

    assert file.getvalue().split()[:3] == ["path", "a", "b"]
    assert file.getvalue().count("…") == 3


def test_cell_has_the_colour_of_its_text(terminal: Terminal) -> None:
    program = terminal("-c", f"{PROGRAM}rich.print(table)")
    program.expect_exact("\x1b[31madam\x1b[0m")


def test_text_of_a_table_holds_everything_where_there_is_no_terminal() -> None:
    assert str(table(a=["x" * 300], b=["y"])) == (f"a{' ' * 299}  b\n{'x' * 300}  y")


def test_wide_letters_keep_the_columns_aligned() -> None:
    lines = str(table(name=["学習", "b"], lr=["1", "2"])).splitlines()

    assert lines == ["name  lr", "学習  1", "b     2"]


def test_markup_of_rich_is_shown_as_it_is() -> None:
    assert "[red]a[/red]" in str(table(name=["[red]a[/red]"]))


def test_control_characters_reach_no_terminal() -> None:
    assert table(name=["a\nb\x1b[2J"]).rows == [("name",), (r"a b\x1b[2J",)]


def test_cells_and_titles_are_escaped_in_a_notebook() -> None:
    script = "<script>alert(1)</script>"
    shown = table(**{script: [script]})._repr_html_()

    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 2


def test_numbers_line_up_in_a_notebook() -> None:
    number = Column(title="lr", cells=["1"], is_number=True)

    assert '<td style="text-align: right">1</td>' in Table([number])._repr_html_()


def test_table_without_rows_is_its_titles() -> None:
    assert str(table(run=[], phase=[])) == "run  phase"


@pytest.mark.parametrize(("width", "hidden"), [(12, True), (80, False)])
def test_rich_console_names_what_it_has_no_room_for(width: int, hidden: bool) -> None:
    file = io.StringIO()
    Console(file=file, width=width).print(table(name=["x"], other=["y"], last=["z"]))

    assert file.getvalue().startswith("name  other")
    assert (
        file.getvalue()
        .replace("\n", " ")
        .rstrip()
        .endswith("room: last" if hidden else "x     y      z")
    )
