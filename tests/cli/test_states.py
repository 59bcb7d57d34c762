"""States of checkpoints: compared, and summed up, by ``RUN@STEP``."""

from __future__ import annotations

import json

from ptutils.db.sqlite.interface import SQLiteInterface
from tests.cli.conftest import Command, Kept
from tests.core.stored import ENCODED, FIELDS, Writer


def test_two_checkpoints_are_compared_leaf_by_leaf(
    command: Command, kept: Kept
) -> None:
    run = kept()
    done = command("diff", f"{run}@2", f"{run}@4")

    assert done.out.splitlines()[1].split("\t")[:3] == ["step", "changed", "2"]
    assert done.err == "1 of 1 leaves differ\n"


def test_without_a_step_the_newest_checkpoint_counts(
    command: Command, kept: Kept
) -> None:
    run, other = kept(), kept()
    done = command("diff", run, f"{other}@4")

    assert (done.out, done.err) == ("", "the same bits in 1 leaves\n")
    assert command("diff", run, other, "--state").err == done.err


def test_json_tells_all(command: Command, kept: Kept) -> None:
    run = kept()
    found = json.loads(command("diff", f"{run}@2", run, "--json").out)

    assert not found["is_same"]
    assert found["changed"][0]["distance"]["max_abs"] == 2.0


def test_a_step_that_is_none_is_refused(command: Command, kept: Kept) -> None:
    done = command("diff", f"{kept()}@best", kept())

    assert done.code == 1
    assert "RUN@STEP with the step as a number" in done.err


def test_a_run_that_was_never_saved_has_nothing_to_compare(
    command: Command, kept: Kept
) -> None:
    run = kept()
    with SQLiteInterface("runs.db") as db:
        writer = Writer(db)
        unsaved = writer.recorder.create(dict(FIELDS), dict(ENCODED))
        writer.end()
    done = command("diff", run, unsaved, "--state")

    assert done.code == 1
    assert f"run '{unsaved}' has no checkpoint" in done.err


def test_show_sums_up_a_state(command: Command, kept: Kept) -> None:
    run = kept()
    done = command("show", f"{run}@2")

    assert done.out.splitlines()[0].split() == ["leaves", "elements", "size", "dtypes"]
    assert done.out.splitlines()[1].split()[:2] == ["State", "1"]
    assert command("show", run, "--state").out == done.out
    found = json.loads(command("show", run, "--state", "--json").out)
    assert (found["leaves"], found["size_bytes"]) == (1, 0)
