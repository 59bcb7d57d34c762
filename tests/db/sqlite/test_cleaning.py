"""Room that artifacts no longer need is taken back, and nothing else."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ptutils.core.records.identity import now
from ptutils.db.artifacts import digest_of
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import CorruptError, NotFoundError

KIB = 1024


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SQLiteInterface]:
    with SQLiteInterface(str(tmp_path / "runs.db")) as db:
        yield db


def later() -> datetime:
    return now() + timedelta(minutes=1)


def contents(count: int, size: int = 4 * KIB) -> list[bytes]:
    return [bytes([number]) * size for number in range(count)]


def folder_bytes(db: SQLiteInterface) -> int:
    return sum(path.stat().st_size for path in db._packs.folder.iterdir())


def packs_of(db: SQLiteInterface) -> list[Path]:
    return sorted(db._packs.folder.iterdir())


def test_dropping_what_is_not_here_does_nothing(db: SQLiteInterface) -> None:
    assert db._drop(["0" * 64], later()) == 0


def test_dropped_artifact_is_gone_with_its_pack(db: SQLiteInterface) -> None:
    (digest,) = db._put(contents(1))
    size = folder_bytes(db)
    assert db._drop([digest], later()) == size
    assert packs_of(db) == []
    assert db._stored() == {}
    with pytest.raises(NotFoundError, match="found no artifact"):
        db._get(digest)


def test_artifact_put_since_is_kept(db: SQLiteInterface) -> None:
    moment = now()
    (digest,) = db._put(contents(1))
    assert db._drop([digest], moment) == 0
    assert bytes(db._get(digest)) == contents(1)[0]


def test_artifact_put_again_since_is_kept(db: SQLiteInterface) -> None:
    db._put(contents(1))
    with db._store.writing() as connection:
        connection.execute("UPDATE artifacts SET put = 0")
    moment = now()
    (digest,) = db._put(contents(1))
    assert db._drop([digest], moment) == 0
    assert digest in db._stored()


def test_pack_that_is_mostly_dead_is_rewritten(db: SQLiteInterface) -> None:
    digests = db._put(contents(10))
    (before,) = packs_of(db)
    size = folder_bytes(db)
    freed = db._drop(digests[:6], later())
    (after,) = packs_of(db)
    assert after != before
    assert freed == size - folder_bytes(db) > 5 * 4 * KIB
    assert [bytes(db._get(each)) for each in digests[6:]] == contents(10)[6:]


def test_pack_that_mostly_lives_stays_as_it_is(db: SQLiteInterface) -> None:
    digests = db._put(contents(10))
    (before,) = packs_of(db)
    assert db._drop(digests[:4], later()) == 0
    assert packs_of(db) == [before]
    assert set(db._stored()) == set(digests[4:])


def test_damaged_pack_is_not_rewritten(db: SQLiteInterface) -> None:
    digests = db._put(contents(10))
    (pack,) = packs_of(db)
    content = bytearray(pack.read_bytes())
    content[db._place(digests[9]).offset] ^= 1
    pack.write_bytes(content)
    assert db._drop(digests[:6], later()) == 0
    assert pack.read_bytes() == content
    assert bytes(db._get(digests[6])) == contents(10)[6]


def test_what_was_dropped_can_be_stored_again(db: SQLiteInterface) -> None:
    digests = db._put(contents(10))
    db._drop(digests, later())
    assert db._put(contents(10)) == digests
    assert [bytes(db._get(each)) for each in digests] == contents(10)


def test_reader_that_looked_up_the_old_place_looks_again(
    db: SQLiteInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = db._put(contents(10))
    reader = SQLiteInterface(db.url)
    old = reader._place(digests[9])
    db._drop(digests[:6], later())
    places = iter([old, db._place(digests[9])])
    monkeypatch.setattr(reader, "_place", lambda digest: next(places))
    assert bytes(reader._get(digests[9])) == contents(10)[9]
    reader.close()


def test_artifact_stays_valid_while_its_pack_is_rewritten(db: SQLiteInterface) -> None:
    digests = db._put(contents(10))
    view = db._get(digests[9])
    db._drop(digests, later())
    assert bytes(view) == contents(10)[9]


def test_lost_pack_is_an_error_after_looking_twice(db: SQLiteInterface) -> None:
    (digest,) = db._put(contents(1))
    packs_of(db)[0].unlink()
    with pytest.raises(CorruptError, match="No such file"):
        db._get(digest)


def stray(db: SQLiteInterface, name: str, age_s: float) -> Path:
    path = db._packs.folder / name
    path.write_bytes(b"stray")
    at = path.stat().st_mtime - age_s
    os.utime(path, (at, at))
    return path


@pytest.mark.parametrize("name", [f"{'0' * 64}.safetensors", ".0011.tmp"])
def test_old_stray_files_are_removed_and_young_ones_stay(
    db: SQLiteInterface, name: str
) -> None:
    (digest,) = db._put(contents(1))
    moment = now() - timedelta(seconds=60)
    young = stray(db, name, age_s=0)
    assert db._drop([], moment) == 0
    assert young.exists()
    old = stray(db, name, age_s=120)
    assert db._drop([], moment) == len(b"stray")
    assert not old.exists()
    assert digest in db._stored()


def test_file_that_is_being_written_stays(db: SQLiteInterface) -> None:
    db._put(contents(1))
    path = stray(db, ".0011.tmp", age_s=10_000)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert db._drop([], now()) == 0
    assert db._drop([], now()) == len(b"stray")


def test_files_of_others_in_the_folder_stay(db: SQLiteInterface) -> None:
    db._put(contents(1))
    note = stray(db, "note.txt", age_s=10_000)
    db._drop([], later())
    assert note.exists()


def test_pack_taken_for_a_stray_before_its_rows_are_there_is_written_again(
    db: SQLiteInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, sweeps = db._packs.write_hashed, []

    def write_and_sweep(*arguments: Any) -> object:
        written = write(*arguments)
        if not sweeps:
            with SQLiteInterface(db.url) as other:
                sweeps.append(other._drop([], later()))
        return written

    monkeypatch.setattr(db._packs, "write_hashed", write_and_sweep)
    (digest,) = db._put(contents(1))
    assert sweeps[0] > 0
    assert bytes(db._get(digest)) == contents(1)[0]


def test_truncated_pack_is_written_again_when_it_is_put(db: SQLiteInterface) -> None:
    (digest,) = db._put(contents(1))
    os.truncate(packs_of(db)[0], 100)
    db._put(contents(1))
    assert bytes(db._get(digest)) == contents(1)[0]


PUT = """
import sys
from ptutils.db.sqlite.interface import SQLiteInterface

db = SQLiteInterface(sys.argv[1])
for turn in range(60):
    contents = [bytes([number, turn % 7]) * 3000 for number in range(20)]
    digests = db._put(contents)
    for digest, content in list(zip(digests, contents))[::3]:
        try:
            assert bytes(db._get(digest)) == content
        except LookupError:
            pass  # It was dropped: nobody claims to need it.
print("done")
"""


def test_writers_and_cleaning_at_once_never_give_wrong_or_unreadable_bytes(
    db: SQLiteInterface,
) -> None:
    db._count("c", {})
    child = subprocess.Popen(
        [sys.executable, "-c", PUT, db.url], stdout=subprocess.PIPE, text=True
    )
    number = 0
    while child.poll() is None:
        number += 1
        some = list(db._stored())[number % 3 :: 3]
        db._drop(some, now())
        for digest in list(db._stored())[:5]:
            with contextlib.suppress(NotFoundError):
                assert digest_of(db._get(digest)) == digest
    assert child.stdout is not None
    assert child.stdout.read() == "done\n"
    child.stdout.close()
    for digest in db._stored():
        assert digest_of(db._get(digest)) == digest
