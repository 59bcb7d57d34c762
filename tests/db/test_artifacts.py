from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors import safe_open

from ptutils.db.artifacts import Packs, digest_of
from ptutils.db.mapping import unreadable
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import CorruptError, DatabaseError

CONTENTS = [b"", b"a", b"b" * 63, b"c" * 64, b"d" * 100_000, bytes(65)]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SQLiteInterface]:
    with SQLiteInterface(str(tmp_path / "runs.db")) as db:
        yield db


def packs_of(db: SQLiteInterface) -> list[Path]:
    return sorted(db._packs.folder.iterdir())


def test_one_call_writes_one_pack_for_its_owner_only(db: SQLiteInterface) -> None:
    db._put(CONTENTS)
    (pack,) = packs_of(db)
    assert stat.S_IMODE(pack.stat().st_mode) == 0o600


def test_known_artifacts_are_not_written_again(db: SQLiteInterface) -> None:
    db._put(CONTENTS[:3])
    db._put(CONTENTS)
    db._put(CONTENTS)
    assert len(packs_of(db)) == 2


def test_packs_open_with_safetensors(db: SQLiteInterface) -> None:
    digests = db._put(CONTENTS)
    (pack,) = packs_of(db)
    with safe_open(pack, framework="np") as tensors:
        found = [tensors.get_tensor(digest).tobytes() for digest in digests]
    assert found == CONTENTS


def test_artifacts_begin_at_multiples_of_64_bytes(db: SQLiteInterface) -> None:
    db._put(CONTENTS)
    with db._store.reading() as connection:
        rows = connection.execute("SELECT offset FROM artifacts WHERE size > 0")
        assert {offset % 64 for (offset,) in rows} == {0}


def test_artifacts_in_a_failed_transaction_are_stored_again(
    db: SQLiteInterface,
) -> None:
    with pytest.raises(ZeroDivisionError), db._transaction():
        raise ZeroDivisionError(db._put([b"a"]))
    (digest,) = db._put([b"a"])
    assert bytes(db._get(digest)) == b"a"


def test_flipped_bit_is_found(db: SQLiteInterface) -> None:
    (digest,) = db._put([b"a" * 1000])
    (pack,) = packs_of(db)
    content = bytearray(pack.read_bytes())
    content[-1] ^= 1
    pack.write_bytes(content)
    with pytest.raises(
        CorruptError, match=rf"{digest} at '{pack}'(.|\n)*bytes with digest"
    ):
        db._get(digest)


def test_truncated_pack_is_found(db: SQLiteInterface) -> None:
    (digest,) = db._put([b"a" * 100_000])
    (pack,) = packs_of(db)
    os.truncate(pack, 5000)
    with pytest.raises(CorruptError, match=r"got: +5000 bytes"):
        db._get(digest)


def test_pack_truncated_after_it_was_mapped_is_found(db: SQLiteInterface) -> None:
    first, last = db._put([b"a" * 100_000, b"b" * 100_000])
    db._get(first)
    os.truncate(packs_of(db)[0], 5000)
    with pytest.raises(CorruptError, match=r"got: +5000 bytes"):
        db._get(last)


def test_missing_pack_is_named(db: SQLiteInterface) -> None:
    (digest,) = db._put([b"a" * 1000])
    packs_of(db)[0].unlink()
    with pytest.raises(
        CorruptError, match=r"got: +No such file(.|\n)*restore this file"
    ):
        db._get(digest)


def test_views_outlive_the_database(db: SQLiteInterface) -> None:
    (digest,) = db._put([b"a" * 5000])
    view = db._get(digest)
    db.close()
    assert (bytes(view), view.readonly) == (b"a" * 5000, True)


def test_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "packs").write_text("in the way")
    packs = Packs(tmp_path / "packs")
    with pytest.raises(
        DatabaseError, match=r"cannot write an artifact pack at .*packs"
    ):
        packs.write({digest_of(b"a"): b"a"})


def test_pack_restored_by_another_process_is_read(db: SQLiteInterface) -> None:
    (digest,) = db._put([b"a" * 5000])
    (pack,) = packs_of(db)
    db._get(digest)
    whole = pack.read_bytes()
    pack.rename(pack.with_suffix(".copy"))
    pack.write_bytes(whole)
    (pack.with_suffix(".copy")).write_bytes(bytes(len(whole)))
    assert bytes(db._get(digest)) == b"a" * 5000


def test_pack_that_cannot_be_read_now_is_not_called_damaged(
    db: SQLiteInterface,
) -> None:
    (digest,) = db._put([b"a" * 5000])
    (pack,) = packs_of(db)
    aside = pack.rename(pack.with_suffix(".copy"))
    pack.symlink_to(pack)
    calls: list[Callable[[], object]] = [
        lambda: db._get(digest),
        lambda: db._put([b"a" * 5000]),
        lambda: list(db._packs.contents()),
        lambda: db._packs.is_being_written(pack),
        lambda: db.verify(repair=True),
    ]
    for call in calls:
        with pytest.raises(DatabaseError, match="Too many levels") as raised:
            call()
        assert not isinstance(raised.value, CorruptError)
    aside.replace(pack)
    assert db.verify() == []


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "give yourself the right to read it: chmod"),
        (errno.EMFILE, "allow more of them: ulimit -n"),
        (errno.ESTALE, "nothing was changed"),
    ],
)
def test_error_of_the_system_says_what_helps(number: int, told: str) -> None:
    error = unreadable(Path("a"), OSError(number, os.strerror(number)))
    assert told in error.fix
    assert error.got == os.strerror(number)


def test_folder_of_packs_that_is_gone_has_none(tmp_path: Path) -> None:
    assert Packs(tmp_path / "none").files() == []
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DatabaseError, match="Too many levels"):
        Packs(tmp_path / "loop").files()


def test_name_that_no_file_can_have_is_damage(db: SQLiteInterface) -> None:
    (digest,) = db._put([b"a" * 5000])
    with db._store.writing() as connection:
        connection.execute("UPDATE artifacts SET pack = ?", ("a" * 300,))
    with pytest.raises(CorruptError, match="no place in a file"):
        db._get(digest)


def test_damaged_pack_that_cannot_be_put_aside_stays(db: SQLiteInterface) -> None:
    (digest,) = db._put([b"a" * 5000])
    (pack,) = packs_of(db)
    os.truncate(pack, 100)
    (pack.parent / "damaged").write_text("in the way")
    with pytest.raises(DatabaseError, match="cannot put a damaged file aside"):
        db.verify(repair=True)
    assert db._stored().keys() == {digest}
    assert pack.exists()
