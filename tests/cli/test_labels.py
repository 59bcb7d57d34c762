"""What people put on runs from the shell is found again."""

from __future__ import annotations

import ptutils
from tests.cli.conftest import Command, Kept


def test_tags_are_found_by_a_query(command: Command, kept: Kept) -> None:
    first, other = kept(), kept()
    done = command("tag", first, "best", "seen")

    assert done.out == f"run {first}: good, best, seen\n"
    listed = command("ls", "tags has best").out
    assert first in listed
    assert other not in listed


def test_tags_are_taken_away(command: Command, kept: Kept) -> None:
    run = kept()

    assert command("tag", run, "good", "--remove").out == f"run {run}: no tags\n"


def test_tag_without_words_lists_them(command: Command, kept: Kept) -> None:
    run = kept()

    assert command("tag", run).out == f"run {run}: good\n"


def test_note_is_kept_and_shown(command: Command, kept: Kept) -> None:
    run = kept()
    command("note", run, "diverged at first;\nthen fine")

    assert command("note", run).out == "diverged at first;\nthen fine\n"
    assert "\n  diverged at first;\n  then fine\n" in command("show", run).out


def test_note_needs_no_quotes_and_can_be_emptied(command: Command, kept: Kept) -> None:
    run = kept()
    command("note", run, "two", "words")

    assert command("note", run).out == "two words\n"
    command("note", run, "")
    assert command("note", run).out == ""


def test_run_without_notes_shows_none(command: Command, kept: Kept) -> None:
    done = command("note", kept())

    assert (done.code, done.out) == (0, "")


def test_newest_checkpoint_is_pinned(command: Command, kept: Kept) -> None:
    run = kept()

    assert command("pin", run).out == f"run {run}: newest checkpoint stays\n"


def test_pinned_checkpoint_is_shown(command: Command, kept: Kept) -> None:
    run = kept()
    before = command("show", run).out
    command("pin", run, "--step", "2")

    assert "pinned" not in before
    assert "2\t0\tschedule\tpinned\n4\t0\tschedule\t\n" in command("show", run).out


def test_checkpoint_of_a_step_is_pinned_and_let_go(
    command: Command, kept: Kept
) -> None:
    run = kept()
    command("pin", run, "--step", "2")
    done = command("pin", run, "--step", "2", "--remove")

    assert done.out == f"run {run}: checkpoint at step 2 may be dropped\n"


def test_pin_of_a_step_without_checkpoint_names_the_steps(
    command: Command, kept: Kept
) -> None:
    done = command("pin", kept(), "--step", "9")

    assert done.code == 1
    assert "one of the steps 2, 4" in done.err


def test_archived_runs_are_listed_on_request(command: Command, kept: Kept) -> None:
    first, other = kept(), kept()
    done = command("archive", first)
    listed = command("ls")

    assert done.out == f"run {first} is archived\n"
    assert (first in listed.out, other in listed.out) == (False, True)
    assert first in command("ls", "--archived").out
    assert first in command("ls", "archived = true").out


def test_list_of_archived_runs_alone_says_so(command: Command, kept: Kept) -> None:
    run = kept()
    command("archive", run)
    done = command("ls")

    assert done.out == ""
    assert done.err == "no runs\n1 archived; --archived lists them\n"


def test_archived_runs_are_listed_again(command: Command, kept: Kept) -> None:
    run = kept()
    command("archive", run)

    assert command("archive", run, "--undo").out == f"run {run} is listed again\n"
    assert run in command("ls").out


def test_stored_text_cannot_command_the_terminal(command: Command, kept: Kept) -> None:
    run = kept(experiment="\x1b]0;title\x07", setting="\x1b[2J")
    command("tag", run, "\x1b[31m")
    command("note", run, "one\n\x1b[2Jtwo")
    words = ["ls"], ["show", run], ["tag", run], ["note", run], ["diff", run, kept()]

    for each in words:
        shown = command(*each).out
        assert shown
        assert "\x1b" not in shown


def test_tag_that_was_not_there_is_told(command: Command, kept: Kept) -> None:
    run = kept()
    done = command("tag", run, "good", "nosuch", "--remove")

    assert done.code == 0
    assert done.err == f"run {run} had no tag 'nosuch'\n"


def test_damaged_run_is_told_once(command: Command, kept: Kept) -> None:
    run = kept()
    with ptutils.connect("runs.db") as db:
        db.update({}, {"$set": {"tags": 5}}, collection="runs")
    done = command("tag", run, "good")

    assert done.code == 1
    assert done.err.count("cannot read runs.") == 1
