"""Runs go from one database to another and back."""

from __future__ import annotations

from tests.cli.conftest import Command, Kept


def test_run_is_exported_by_its_id(command: Command, kept: Kept) -> None:
    run, other = kept(), kept()
    done = command("export", run[:-1] if run[:-1] != other[:-1] else run, "copy.db")

    assert done.out == f"run {run} is in copy.db\n"
    listed = command("ls", "--db", "copy.db").out
    assert (run in listed, other in listed) == (True, False)


def test_runs_are_exported_by_a_query(command: Command, kept: Kept) -> None:
    run, other = kept(experiment="a"), kept(experiment="b")
    command("export", "experiment = a", "copy.db")
    listed = command("ls", "--db", "copy.db").out

    assert (run in listed, other in listed) == (True, False)


def test_all_runs_are_exported_by_an_empty_query(command: Command, kept: Kept) -> None:
    runs = [kept(), kept()]
    command("export", "", "copy.db")

    assert all(run in command("ls", "--db", "copy.db").out for run in runs)


def test_export_of_nothing_says_so(command: Command, kept: Kept) -> None:
    kept()
    done = command("export", "experiment = none", "copy.db")

    assert (done.code, done.out, done.err) == (0, "", "no run matches\n")


def test_runs_are_imported_into_a_database_that_is_made(
    command: Command, kept: Kept
) -> None:
    run, other = kept(experiment="a"), kept(experiment="b")
    done = command("import", "runs.db", "--where", "experiment = a", "--db", "new.db")

    assert done.out == f"run {run} is in new.db\n"
    listed = command("ls", "--db", "new.db").out
    assert (run in listed, other in listed) == (True, False)


def test_import_of_a_database_that_is_not_there_makes_none(command: Command) -> None:
    done = command("import", "nowhere.db")

    assert done.code == 1
    assert "found no database at 'nowhere.db'" in done.err
    assert command("ls").code == 1
