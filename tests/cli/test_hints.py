"""A query that finds nothing is told why, where that can be guessed."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Command, Kept


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("created > 7", "'created' holds dates, not numbers; write '2026-11-01' or"),
        ("config.lr < '0.1'", "'config.lr' holds numbers, not texts; write it without"),
        ("experiment = 7", "'experiment' holds texts, not numbers; quote it"),
        ("config.betas = x", "'config.betas' holds numbers, not texts"),
        ("status.phase = complete", "status.phase = 'complete'; did you mean 'compl"),
        ("status.phase in [losd]", "status.phase = 'losd'; did you mean 'lost'?"),
        ("tags has goood and not tags exists", "= 'goood'; did you mean 'good'?"),
    ],
)
def test_query_for_an_unlike_value_is_told_what_is_there(
    command: Command, kept: Kept, query: str, hint: str
) -> None:
    kept(lr=0.1, betas=[0.9, 0.99])
    done = command("ls", query)

    assert hint in done.err
    assert done.err.endswith("no run matches\n")


@pytest.mark.parametrize(
    "query",
    [
        "config.lr < 0.01",
        "experiment = zzz",
        "status.phase = failed",
        "config.betas = [1]",
        "config.lr = null",
        "experiment ~ x",
        "config.lr > 1 and created > '2026-11-01'",
    ],
)
def test_query_for_what_could_be_there_is_left_alone(
    command: Command, kept: Kept, query: str
) -> None:
    kept(lr=0.1, betas=[[0.9], 0.99])

    assert command("ls", query).err == "no run matches\n"


def test_query_that_finds_runs_is_left_alone(command: Command, kept: Kept) -> None:
    kept()

    assert command("ls", "experiment = test or created = 7").err == ""


def test_id_is_queried_and_sorted_by(command: Command, kept: Kept) -> None:
    first, other = kept(), kept()

    assert first in command("ls", f"id = {first}").out
    listed = command("ls", "--sort", "id").out.splitlines()[1:]
    assert [line.split("\t")[0] for line in listed] == sorted([first, other])


def test_runs_that_a_sort_leaves_equal_are_listed_newest_first(
    command: Command, kept: Kept
) -> None:
    first, other = kept(), kept()
    done = command("ls", "--sort", "nosuch")

    assert "no run has 'nosuch'" in done.err
    listed = [line.split("\t")[0] for line in done.out.splitlines()[1:]]
    assert listed == [other, first]


def test_list_is_not_endless(command: Command, kept: Kept) -> None:
    kept()
    done = command("ls", "--limit", "9223372036854775807")

    assert done.code == 2
    assert "1000000000" in done.err
