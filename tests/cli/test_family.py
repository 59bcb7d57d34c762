"""Where runs come from, and where they differ."""

from __future__ import annotations

import re

from tests.cli.conftest import Command, Kept, run_id

ONE = "schedule.duration=1 epoch"


def test_branch_starts_at_a_checkpoint_with_other_settings(command: Command) -> None:
    parent = run_id(command("run", "tiny.yaml").out)
    done = command("branch", parent, "trainer.model.optimizer.lr=0.5", "--step", "3")
    child = run_id(done.out)
    shown = command("lineage", child).out

    assert "completed after 6 steps, 2 epochs" in done.out
    assert re.search(rf"{child} +branch at 3, completed at step 6 .*this run", shown)
    assert "trainer.model.optimizer.lr" in command("diff", parent, child).out


def test_branch_goes_to_another_database(command: Command) -> None:
    parent = run_id(command("run", "tiny.yaml", ONE).out)
    done = command("branch", parent, "schedule.duration=2 epochs", "--to", "other.db")

    assert "--db other.db" in done.out
    assert run_id(done.out) in command("ls", "--db", "other.db").out


def test_branch_takes_over_a_part_under_another_name(command: Command) -> None:
    parent = run_id(command("run", "tiny.yaml", ONE).out)
    words = ["--select", "trainer.model.net", "--rename", "trainer.model.net=net"]
    wrong = command("branch", parent, *words)
    done = command("branch", parent, *words[:2])

    assert wrong.code == 1
    assert "completed after 3 steps" in done.out


def test_branch_says_what_did_not_fit_and_began_anew(command: Command) -> None:
    parent = run_id(command("run", "tiny.yaml", ONE).out)
    words = ["trainer.model.optimizer.class=torch.optim.Adagrad"]
    wrong = command("branch", parent, *words, "--missing", "skip")
    done = command("branch", parent, *words, "--mismatched", "initialize")

    assert wrong.code == 1
    assert "initialized 1: trainer.model.optimizer" in done.err
    assert "completed after 3 steps" in done.out


def test_mode_that_there_is_not_is_a_wrong_command_line(
    command: Command, kept: Kept
) -> None:
    done = command("branch", kept(), "--missing", "ignore")

    assert done.code == 2


def test_rename_without_a_new_name_is_a_wrong_command_line(
    command: Command, kept: Kept
) -> None:
    done = command("branch", kept(), "--rename", "net")

    assert done.code == 2
    assert "OLD=NEW" in done.err


def test_restart_begins_anew(command: Command) -> None:
    parent = run_id(command("run", "tiny.yaml").out)
    done = command("restart", parent, ONE)

    assert "completed after 3 steps" in done.out
    assert "restart" in command("lineage", run_id(done.out)).out


def test_evaluate_measures_a_checkpoint(command: Command) -> None:
    parent = run_id(command("run", "tiny.yaml").out)
    done = command("evaluate", parent, "--step", "3", "--split", "train")

    assert done.code == 0, done.err
    assert "train.loss " in done.out
    assert "resume" not in done.out


def test_equal_runs_have_no_difference(command: Command, kept: Kept) -> None:
    done = command("diff", kept(), kept())

    assert (done.code, done.out) == (0, "")
    assert done.err == "no difference in config, source and summary\n"


def test_runs_of_two_databases_are_compared(command: Command, kept: Kept) -> None:
    run = kept(lr=0.1)
    command("export", run, "copy.db")
    done = command("diff", kept(lr=0.25), run, "--of", "copy.db")

    assert "config.lr\t0.25\t0.1\n" in done.out
