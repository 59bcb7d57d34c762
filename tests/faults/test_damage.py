"""Damaged databases, as a user meets them: verify names it, repair mends it."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli import conftest as cli
from tests.cli.conftest import Command, run_id
from tests.mongod import running_mongod
from tests.test_faults import DEEP, in_process

command = cli.command

Damage = Callable[[str, str], None]
"""Given the database and the run that is hit."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with running_mongod(tmp_path / "server") as found:
        yield found.url


def newest(folder: str, pattern: str) -> Path:
    return max(Path(folder).glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def garble(path: Path) -> None:
    """Hit all tensors: some are the same in an earlier checkpoint."""
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 2, len(content), 10):
        content[place] ^= 1
    path.write_bytes(content)


def hit_pack(how: Callable[[Path], None]) -> Damage:
    return lambda db, run: how(newest(f"{db}.artifacts", "*"))


def hit_tensors(how: Callable[[Path], None]) -> Damage:
    def hit(db: str, run: str) -> None:
        folder = Path(db.removeprefix("files:")) / "runs" / run / "checkpoints"
        for path in folder.glob("00000003*.safetensors"):  # One could stand in.
            how(path)

    return hit


def cut_history(db: str, run: str) -> None:
    path = Path(db.removeprefix("files:")) / "runs" / run / "history.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-2]))


def execute(db: str, statement: str, *arguments: object) -> int:
    with contextlib.closing(sqlite3.connect(db)) as connection:
        count = connection.execute(statement, arguments).rowcount
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return count


def change_checkpoint(db: str, run: str) -> None:
    asked = "SELECT id FROM collections WHERE name = 'checkpoints'"
    with contextlib.closing(sqlite3.connect(db)) as connection:
        ((number,),) = connection.execute(asked)
    changed = execute(
        db,
        f"UPDATE documents_{number} "  # noqa: S608
        "SET text = replace(text, '\"step\":3', '\"step\":4') WHERE text LIKE ?",
        f'%"run":"{run}"%"step":3%',
    )
    assert changed


def lose_index_row(db: str, run: str) -> None:
    assert execute(db, "DELETE FROM keys_1 WHERE place = 2 AND path = 1")


def overwrite_page(db: str, run: str) -> None:
    execute(db, "SELECT 1")
    with contextlib.closing(sqlite3.connect(db)) as connection:
        ((page,),) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'keys_1'"
        )
    with Path(db).open("r+b") as file:
        file.seek((page - 1) * 4096 + 8)
        file.write(b"\xa5" * 2000)


@pytest.mark.parametrize(
    ("db", "damage"),
    [
        ("runs.db", hit_pack(flip)),
        ("runs.db", hit_pack(halve)),
        ("runs.db", hit_pack(Path.unlink)),
        ("files:runs", hit_tensors(garble)),
        ("files:runs", hit_tensors(halve)),
        ("files:runs", hit_tensors(Path.unlink)),
    ],
)
def test_checkpoint_that_was_damaged_is_named_and_put_aside(
    command: Command, tmp_path: Path, db: str, damage: Damage
) -> None:
    other, hit = trained(command, tmp_path, db)
    damage(db, hit)

    found = command("verify", "--db", db)
    assert found.code == 1
    assert hit in found.out
    assert other not in found.out
    assert_usable(command, db, other, step=3)
    told = json.loads(command("verify", "--json", "--db", db).out)
    assert all(fault["where"] and fault["what"] for fault in told)
    failed = command("resume", hit, "schedule.duration=4 steps", "--db", db)
    assert failed.code == 1
    assert "Traceback" not in failed.err
    assert hit in failed.err

    assert command("verify", "--repair", "--db", db).code == 0
    assert command("verify", "--db", db).out == f"{db}: no fault\n"
    assert_usable(command, db, hit, step=3)


@pytest.mark.parametrize("damage", [change_checkpoint, lose_index_row, overwrite_page])
def test_damaged_file_is_told_and_mended(
    command: Command, tmp_path: Path, damage: Damage
) -> None:
    other, hit = trained(command, tmp_path, "runs.db")
    damage("runs.db", hit)

    found = command("verify")
    assert found.code == 1
    assert found.out
    assert "Traceback" not in found.err

    # Here, what was trained in this process still has the file open.
    assert in_process(tmp_path, "verify", "--repair").code == 0
    assert command("verify").out == "runs.db: no fault\n"
    listed = command("ls").out
    assert other in listed
    assert hit in listed
    for run in (other, hit):
        assert_usable(command, "runs.db", run, step=3)


def test_lost_points_cannot_be_mended_and_are_told_again(
    command: Command, tmp_path: Path
) -> None:
    other, hit = trained(command, tmp_path, "files:runs")
    cut_history("files:runs", hit)

    for words in (["verify"], ["verify", "--repair"], ["verify"]):
        found = command(*words, "--db", "files:runs")
        assert found.code == 1
        assert hit in found.out
        assert other not in found.out
    assert_usable(command, "files:runs", other, step=3)


@pytest.mark.mongo
def test_flipped_bit_on_a_server_is_named_and_put_aside(
    command: Command, tmp_path: Path, server: str
) -> None:
    pymongo = pytest.importorskip("pymongo")
    other, hit = trained(command, tmp_path, server)
    with pymongo.MongoClient(server) as client:
        database = client.get_default_database()
        (name,) = [n for n in database.list_collection_names() if n.endswith("chunks")]
        chunk = database[name].find_one(sort=[("_id", -1)])
        content = bytearray(chunk["data"])
        content[-100] ^= 1
        change = {"$set": {"data": bytes(content)}}
        database[name].update_one({"_id": chunk["_id"]}, change)

    found = command("verify", "--db", server)
    assert found.code == 1
    assert hit in found.out
    assert_usable(command, server, other, step=3)
    assert command("verify", "--repair", "--db", server).code == 0
    assert command("verify", "--db", server).code == 0
    assert_usable(command, server, hit, step=3)


def trained(command: Command, folder: Path, db: str) -> list[str]:
    """Train two runs, each with a checkpoint in a pack at each of its 3 steps."""
    (folder / "deep.yaml").write_text(DEEP)
    words = ("schedule.checkpoint=1 step", "schedule.duration=3 steps", "--db", db)
    return [
        run_id(command("run", "deep.yaml", f"seed={seed}", *words).out)
        for seed in (0, 1)
    ]


def assert_usable(command: Command, db: str, run: str, step: int) -> None:
    """Check that a run can be shown, and goes on."""
    assert command("show", run, "--db", db).code == 0
    duration = f"schedule.duration={step + 1} steps"
    assert command("resume", run, duration, "--db", db).code == 0
