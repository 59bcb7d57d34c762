"""``--json`` is one plain JSON value for programs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ptutils.db.sqlite.interface import SQLiteInterface
from tests.cli.conftest import Command, Done, Kept
from tests.core.stored import ENCODED, FIELDS, Writer


def value_of(done: Done) -> Any:
    assert done.code == 0, done.err
    return json.loads(done.out, parse_constant=lambda name: 1 / 0)


def test_ls_gives_a_list_of_runs(command: Command, kept: Kept) -> None:
    first, other = kept(), kept(loss=math.nan)
    newest, oldest = value_of(command("ls", "--json", "--sort", "-_id"))

    assert {newest["id"], oldest["id"]} == {first, other}
    assert oldest["status"]["phase"] == "completed"
    assert oldest["created"].endswith("Z")


def test_numbers_that_are_none_are_texts(command: Command, kept: Kept) -> None:
    kept(loss=math.nan)
    (run,) = value_of(command("ls", "--json"))

    assert run["summary"]["loss"]["last"] == "NaN"


def test_ls_of_nothing_is_an_empty_list(command: Command, kept: Kept) -> None:
    kept()
    done = command("ls", "experiment = other", "--json")

    assert value_of(done) == []
    assert done.err == "no run matches\n"


def test_show_gives_the_checkpoints_as_well(command: Command, kept: Kept) -> None:
    shown = value_of(command("show", kept(), "--json"))

    assert [each["step"] for each in shown["checkpoints"]] == [2, 4]
    assert len(shown["checkpoints"][0]["digest"]) == 64
    assert shown["config"]["betas"] == [0.9, 0.99]


def test_lineage_gives_a_tree(command: Command, kept: Kept) -> None:
    run = kept()

    assert value_of(command("lineage", run, "--json"))["run"] == run


def test_diff_gives_pairs_by_section(command: Command, kept: Kept) -> None:
    first, other = kept(lr=0.1), kept(lr=0.2, seed=1)
    found = value_of(command("diff", first, other, "--json"))

    assert found["config"] == {
        "lr": {"ours": 0.1, "theirs": 0.2},
        "seed": {"theirs": 1},
    }


def test_verify_gives_the_faults(command: Command, kept: Kept) -> None:
    kept()

    assert value_of(command("verify", "--json")) == []


def test_gc_gives_what_was_freed(command: Command, kept: Kept) -> None:
    kept()

    assert isinstance(value_of(command("gc", "--json")), dict)


def test_copies_are_listed(command: Command, kept: Kept) -> None:
    run = kept()
    (copied,) = value_of(command("export", run, "other.db", "--json"))
    (back,) = value_of(command("import", "other.db", "--db", "new.db", "--json"))

    assert copied["id"] == back["id"] == run


def test_show_gives_the_text_of_a_long_diff(command: Command, tmp_path: Path) -> None:
    diff = "+a line that was added\n" * 1000
    with SQLiteInterface(str(tmp_path / "runs.db")) as db:
        source = {"diff": diff.encode()}
        run = Writer(db).recorder.create(dict(FIELDS), {**ENCODED, "source": source})

    assert value_of(command("show", run, "--json"))["source"] == {"diff": diff}
