"""The commands do what they say, on real runs in a real database."""

from __future__ import annotations

import re
import shlex

import pytest

import ptutils
from ptutils.cli.main import main
from ptutils.errors import NotFoundError
from tests.cli.conftest import Command, Kept, run_id

WRONG_SIZE = "trainer.model.net.args.1.in_features=63"


def rows(listing: str) -> list[dict[str, str]]:
    titles, *lines = [line.split("\t") for line in listing.splitlines()]
    return [dict(zip(titles, line, strict=True)) for line in lines]


def test_run_says_how_it_went(command: Command) -> None:
    done = command("run", "tiny.yaml")

    assert done.code == 0
    assert "completed after 6 steps, 2 epochs, valid.loss " in done.out


def test_commands_that_run_prints_work(command: Command) -> None:
    printed = re.findall(r"^  ptutils (.*)$", command("run", "tiny.yaml").out, re.M)

    assert [shlex.split(line)[0] for line in printed] == ["ls", "show", "resume"]
    assert [command(*shlex.split(line)).code for line in printed] == [0, 0, 0]
    assert rows(command("ls").out)[0]["epoch"] == "4"


def test_commands_that_run_prints_name_the_database(command: Command) -> None:
    done = command("run", "tiny.yaml", "--db", "other.db")

    assert done.out.count("--db other.db") == 3
    assert len(rows(command("ls", "--db", "other.db").out)) == 1


def test_commands_that_run_prints_name_the_database_of_the_config(
    command: Command,
) -> None:
    done = command("run", "tiny.yaml", "dbinterface=other.db")
    printed = re.findall(r"^  ptutils (.*)$", done.out, re.M)

    assert "\nIt is in other.db. To find it, " in done.out
    assert done.out.count("--db other.db") == 3
    assert [command(*shlex.split(line)).code for line in printed] == [0, 0, 0]


def test_run_without_a_database_prints_no_commands(command: Command) -> None:
    done = command("run", "tiny.yaml", "dbinterface=null")

    assert done.code == 0
    assert re.fullmatch(r"run completed after 6 steps, .*\n", done.out)


def test_run_in_memory_prints_no_commands(command: Command) -> None:
    done = command("run", "tiny.yaml", "--db", "memory:")

    assert done.code == 0
    assert re.fullmatch(r"run \w+ completed after 6 steps, .*\n", done.out)


def test_counts_of_one_are_singular(command: Command) -> None:
    done = command("run", "tiny.yaml", "schedule.duration=1 epoch")

    assert "completed after 3 steps, 1 epoch, " in done.out


def test_database_may_be_named_before_the_command(command: Command) -> None:
    command("--db", "other.db", "run", "tiny.yaml")

    assert len(rows(command("--db", "other.db", "ls").out)) == 1


def test_environment_names_the_database(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTUTILS_DB", "other.db")
    command("run", "tiny.yaml")

    assert len(rows(command("ls", "--db", "other.db").out)) == 1


def test_environment_leaves_the_database_of_the_config(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTUTILS_DB", "other.db")
    done = command("run", "tiny.yaml", "dbinterface=own.db")

    assert done.out.count("--db own.db") == 3


def test_command_line_overrules_the_database_of_the_config(command: Command) -> None:
    done = command("--db", "other.db", "run", "tiny.yaml", "dbinterface=own.db")

    assert done.out.count("--db other.db") == 3


def test_help_of_run_names_the_config_before_the_environment(command: Command) -> None:
    text = " ".join(command("run", "--help").out.split())

    assert "[default: that of CONFIG, else what PTUTILS_DB names, or runs.db]" in text


@pytest.mark.parametrize("name", ["resume", "ls", "show"])
def test_help_names_the_usual_database(command: Command, name: str) -> None:
    text = " ".join(command(name, "--help").out.split())

    assert "[default: what PTUTILS_DB names, or runs.db]" in text


def test_ls_lists_the_newest_first_with_what_differs(command: Command) -> None:
    command("run", "tiny.yaml")
    command("run", "tiny.yaml", "trainer.model.optimizer.lr=1e-2")
    newest, oldest = rows(command("ls").out)

    assert (newest["lr"], oldest["lr"]) == ("0.01", "0.1")
    assert newest["phase"] == "completed"
    assert float(newest["valid.loss.min"]) > float(oldest["valid.loss.min"])


def test_ls_filters_sorts_and_limits(command: Command) -> None:
    for seed in (1, 2, 3):
        command("run", "tiny.yaml", f"seed={seed}", "schedule.duration=1 epoch")
    done = command("ls", "config.seed > 1", "--sort", "config.seed", "--limit", "1")

    assert [row["run"] for row in rows(done.out)] == [
        row["run"] for row in rows(command("ls", "config.seed = 2").out)
    ]
    assert done.err == "there are more; --limit 0 lists all\n"


def test_ls_says_when_nothing_matches(command: Command) -> None:
    command("run", "tiny.yaml", "seed=1")
    done = command("ls", "config.seed = 99")

    assert (done.code, done.out, done.err) == (0, "", "no run matches\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["lr < 1"],
            "no run has 'lr'; did you mean 'config.trainer.model.optimizer.lr'?",
        ),
        (
            ["--sort", "-config.sed"],
            "no run has 'config.sed'; did you mean 'config.seed'?",
        ),
        (["not (a.b = 1 or zzzz = 1)"], "no run has 'a.b'\nno run has 'zzzz'"),
        (
            ["valid.loss < 9"],
            "no run has 'valid.loss'; did you mean 'summary.valid.loss.min'?",
        ),
    ],
)
def test_ls_says_which_path_no_run_has(
    command: Command, words: list[str], said: str
) -> None:
    command("run", "tiny.yaml", "schedule.duration=1 epoch", "seed=1")
    done = command("ls", *words)

    assert done.code == 0
    assert done.err.removesuffix("no run matches\n") == f"{said}\n"


def test_ls_of_known_paths_says_nothing(command: Command) -> None:
    command("run", "tiny.yaml", "schedule.duration=1 epoch", "seed=1")

    assert command("ls", "config.seed = 1 and summary.valid.loss.min > 0").err == ""


def test_show_tells_all_of_a_run(command: Command) -> None:
    identity = run_id(command("run", "tiny.yaml").out)
    shown = command("show", identity).out

    assert shown.startswith(f"run {identity}: tiny, completed, ")
    assert "    optimizer:\n" in shown
    assert "  phase: completed\n" in shown
    assert "  verb: new\n" in shown
    assert re.search(r"^train\.loss\t.*\t[▁▂▃▄▅▆▇█]{6}$", shown, re.M)
    assert "\n3\t1\tschedule\n" in shown


def test_show_tells_what_went_wrong_with_recording(
    command: Command, kept: Kept
) -> None:
    run, fault = kept(), {"database": "a.db", "what": "disk full", "lost_points": 3}
    with ptutils.connect("runs.db") as db:
        db.update({}, {"$set": {"faults": [fault]}}, collection="runs")

    assert "what: disk full\n    lost_points: 3\n" in command("show", run).out


def test_run_id_may_be_shortened(command: Command) -> None:
    identity = run_id(command("run", "tiny.yaml").out)

    assert command("show", identity[:-1]).out.startswith(f"run {identity}: ")


def test_run_id_may_be_in_capitals(command: Command) -> None:
    identity = run_id(command("run", "tiny.yaml").out)

    assert command("show", identity.upper()).out.startswith(f"run {identity}: ")


def test_lineage_shows_paths_as_they_were_given(command: Command) -> None:
    identity = run_id(command("run", "tiny.yaml").out)
    with ptutils.connect("runs.db") as db:
        branched = db.runs.get(identity).branch({"schedule.duration": "3 epochs"}).run()

    shown = command("show", branched.id).out
    assert "    schedule.duration: 3 epochs\n" in shown


def test_failed_run_leads_to_its_traceback(command: Command) -> None:
    done = command("run", "tiny.yaml", WRONG_SIZE)
    found = re.search(r"^its traceback: ptutils (show \w+)$", done.err, re.M)

    assert done.code == 1
    assert done.err.startswith("RuntimeError: ")
    assert "go on with" not in done.err
    assert found, done.err
    shown = command(*found[1].split()).out
    assert "  Traceback (most recent call last):\n" in shown
    assert "\n  RuntimeError: " in shown


def test_resume_advises_more_than_was_reached(command: Command) -> None:
    identity = run_id(command("run", "tiny.yaml", "schedule.duration=20 steps").out)
    done = command("resume", identity, "schedule.duration=2 steps")

    assert done.out == (
        f"run {identity} is already complete after 20 steps; give it more to do: "
        f"ptutils resume {identity} 'schedule.duration=40 steps'\n"
    )


def test_advice_for_a_run_by_time_is_in_its_unit(command: Command) -> None:
    done = command("run", "tiny.yaml", "schedule.duration=0.1 s")

    assert re.search(r"'schedule\.duration=[2-9] s'", done.out), done.out


def test_resume_goes_back_behind_a_damaged_checkpoint_if_asked_to(
    command: Command,
) -> None:
    identity = run_id(command("run", "tiny.yaml").out)
    with ptutils.connect("runs.db") as db:
        damage = {"$set": {"state.digest": "0"}}
        db._update("checkpoints", {"run": identity, "step": 6}, damage)
    more = ["resume", identity, "schedule.duration=3 epochs"]

    assert "CorruptError" in command(*more).err
    done = command(*more, "--fallback")
    assert f"run {identity} completed after 9 steps, 3 epochs" in done.out


def test_resume_goes_on_with_changed_settings(command: Command) -> None:
    identity = run_id(command("run", "tiny.yaml").out)
    done = command("resume", identity, "schedule.duration=3 epochs")

    assert f"run {identity} completed after 9 steps, 3 epochs" in done.out
    assert rows(command("ls").out)[0]["step"] == "9"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["run", "missing.yaml"], "ConfigError: cannot read .*missing.yaml"),
        (["run", "tiny.yaml", "sed=1"], "ConfigError: (.|\n)*'seed'"),
        (["run", "tiny.yaml", "seed"], "ConfigError: cannot read the override 'seed'"),
        (["ls", "seed <"], "QueryError: cannot read the query\n    seed <\n"),
        (["show", "zzz"], "NotFoundError: "),
        (["resume", "zzz"], "NotFoundError: "),
    ],
)
def test_error_is_one_block_and_exit_code_1(
    command: Command, words: list[str], error: str
) -> None:
    command("run", "tiny.yaml", "schedule.duration=1 epoch")
    done = command(*words)

    assert (done.code, done.out) == (1, "")
    assert re.match(error, done.err), done.err
    assert "Traceback" not in done.err


def test_ambiguous_run_id_lists_the_candidates(command: Command) -> None:
    for _ in range(2):
        command("run", "tiny.yaml", "schedule.duration=1 epoch")
    done = command("show", "0")
    listed = [row["run"] for row in rows(command("ls").out)]

    done = command("show", listed[0][:4])
    assert done.code == 1
    assert all(identity in done.err for identity in listed)


def test_missing_database_is_said_and_not_made(command: Command) -> None:
    done = command("ls", "--db", "nowhere.db")

    assert done.code == 1
    assert "nowhere.db" in done.err
    assert command("ls", "--db", "nowhere.db").code == 1


@pytest.mark.parametrize("url", ["mongdb://me:se/cr@et@h/x", "mongdb:/me:et@h"])
def test_password_of_a_wrong_url_is_not_shown(command: Command, url: str) -> None:
    done = command("ls", "--db", url)

    assert done.code == 1
    assert "me:***@h" in done.err
    assert "et@" not in done.err


def test_wrong_option_exits_with_2(command: Command) -> None:
    done = command("ls", "--limmit", "3")

    assert done.code == 2
    assert "--limit" in done.err


@pytest.mark.parametrize(
    "words", [["--debug", "show", "zzz"], ["show", "zzz", "--debug"]]
)
def test_debug_shows_the_traceback(
    words: list[str], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("run", "tiny.yaml", "schedule.duration=1 epoch")
    monkeypatch.setattr("sys.argv", ["ptutils", *words])

    with pytest.raises(NotFoundError, match="zzz"):
        main()
