"""A database is verified, repaired and cleaned from the shell."""

from __future__ import annotations

from pathlib import Path

from ptutils.db.sqlite.interface import SQLiteInterface
from tests.cli.conftest import Command, Kept


def test_sound_database_has_no_fault(command: Command, kept: Kept) -> None:
    kept()

    assert command("verify").out == "runs.db: no fault\n"


def test_fault_is_told_and_exits_with_1(
    command: Command, kept: Kept, tmp_path: Path
) -> None:
    run = kept()
    _damage(tmp_path / "runs.db")
    done = command("verify")

    assert done.code == 1
    assert run in done.out
    assert "ptutils verify --repair" in done.err


def test_fault_that_was_mended_exits_with_0(
    command: Command, kept: Kept, tmp_path: Path
) -> None:
    run = kept()
    _damage(tmp_path / "runs.db")
    done = command("verify", "--repair")

    assert done.code == 0
    assert "(repaired)" in done.out
    assert command("verify").out == "runs.db: no fault\n"
    assert run in command("ls").out


def test_gc_says_what_was_freed(command: Command, kept: Kept) -> None:
    kept()
    done = command("gc")

    assert done.code == 0
    assert done.out


def _damage(path: Path) -> None:
    with SQLiteInterface(str(path)) as db:
        wrong = {"$set": {"state.digest": "0" * 64}}
        db.update({"step": 4}, wrong, collection="checkpoints")
