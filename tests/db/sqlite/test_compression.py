"""Compressed packs beside a SQLite file: exact, verified, mended, made smaller."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ptutils.core.dbinterface import DBInterface
from ptutils.core.records.identity import now
from ptutils.db.connect import connect
from ptutils.db.sqlite.interface import SQLiteInterface
from ptutils.errors import CorruptError, DatabaseError
from ptutils.testing.contract.artifacts import ArtifactsContract
from ptutils.testing.contract.exactness import ExactnessContract
from ptutils.testing.contract.runs import RunsContract
from tests.core.stored import Writer

LATER = timedelta(hours=1)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[SQLiteInterface]:
    with SQLiteInterface(str(tmp_path / "runs.db"), compression="zstd") as db:
        yield db


def damage(db: SQLiteInterface, digest: str) -> None:
    """Change the last byte of an artifact's frame."""
    place = db._place(digest)
    pack = db._packs.folder / place.pack
    content = bytearray(pack.read_bytes())
    content[place.offset + db._packs.frames_in(place.pack)[place.offset] - 1] ^= 1
    pack.write_bytes(content)


class TestContract(ArtifactsContract, ExactnessContract, RunsContract):
    @pytest.fixture
    def db(self, tmp_path: Path) -> Iterator[SQLiteInterface]:
        with SQLiteInterface(str(tmp_path / "runs.db"), compression="zstd") as db:
            yield db

    def damage(self, db: DBInterface, digest: str) -> None:
        assert isinstance(db, SQLiteInterface)
        damage(db, digest)


def contents(count: int) -> list[bytes]:
    return [bytes([number]) * 100_000 for number in range(count)]


def packs_of(db: SQLiteInterface) -> list[Path]:
    return sorted(db._packs.folder.glob("*.safetensors"))


def test_packs_are_smaller(db: SQLiteInterface) -> None:
    noise = os.urandom(100_000)
    digests = db._put([*contents(5), noise])
    sizes = {path.name[64:]: path.stat().st_size for path in packs_of(db)}
    assert sizes.keys() == {".safetensors", ".zst.safetensors"}
    assert 100_000 < sizes[".safetensors"] < 101_000
    assert sizes[".zst.safetensors"] < 2_000
    assert db._stored()[digests[0]].size == 100_000


def test_artifact_is_stored_once_whatever_its_pack(db: SQLiteInterface) -> None:
    digests = db._put(contents(3))
    with connect(db.url) as plain:
        assert plain._put(contents(3)) == digests
    assert len(packs_of(db)) == 1


def test_any_database_of_this_file_reads_them(db: SQLiteInterface) -> None:
    (digest,) = db._put(contents(1))
    with connect(db.url) as plain:
        assert plain._get(digest) == contents(1)[0]
        assert plain.verify() == []


def test_copy_is_compressed_as_its_database_says(
    db: SQLiteInterface, tmp_path: Path
) -> None:
    writer = Writer(db)
    writer.create()
    writer.save(1, large=bytearray(2_000_000))
    (run,) = db.runs.find()
    run.export(str(tmp_path / "plain.db"))
    with connect(str(tmp_path / "plain.db")) as plain:
        (copied,) = plain.runs.find()
        assert copied.checkpoints[-1].state.large == bytearray(2_000_000)
    (pack,) = (tmp_path / "plain.db.artifacts").iterdir()
    assert pack.stat().st_size > 2_000_000


def test_dropped_frames_give_room_back(db: SQLiteInterface) -> None:
    digests = db._put([os.urandom(1000) * (2 + i % 2) for i in range(20)])
    (pack,) = packs_of(db)
    before = pack.stat().st_size
    freed = db._drop(digests[:15], now() + LATER)
    (left,) = packs_of(db)
    assert freed == before - left.stat().st_size > before // 2
    assert len(db._get(digests[19])) == 3000


def test_frames_of_which_most_are_needed_stay(db: SQLiteInterface) -> None:
    digests = db._put(contents(8))
    before = packs_of(db)
    assert db._drop(digests[:3], now() + LATER) == 0
    assert packs_of(db) == before


def test_damaged_frame_is_found_and_put_aside(db: SQLiteInterface) -> None:
    good, bad = db._put(contents(2))
    damage(db, bad)
    db.close()
    with pytest.raises(CorruptError, match=f"(?s)cannot read artifact {bad}"):
        db._get(bad)
    (kept,) = db._put_aside([bad])
    assert Path(kept).parent.name == "damaged"
    assert db._stored().keys() == {good}
    assert db._get(good) == contents(1)[0]


def test_pack_that_was_cut_is_written_again(db: SQLiteInterface) -> None:
    (digest,) = db._put(contents(1))
    (pack,) = packs_of(db)
    os.truncate(pack, pack.stat().st_size - 1)
    with pytest.raises(CorruptError, match="no whole file with a frame there"):
        db._get(digest)
    db._put(contents(1))
    assert db._get(digest) == contents(1)[0]


@pytest.mark.parametrize(
    "header",
    [b"{", b"[]", b'{"%s":{"data_offsets":["a",1]}}', b'{"%s":{"data_offsets":[9,1]}}'],
)
def test_header_that_is_none_is_damage(db: SQLiteInterface, header: bytes) -> None:
    (digest,) = db._put(contents(1))
    (pack,) = packs_of(db)
    header = header.replace(b"%s", digest.encode())
    pack.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CorruptError, match=digest):
        db._get(digest)


def test_pack_that_cannot_be_read_now_is_not_called_damaged(
    db: SQLiteInterface,
) -> None:
    (digest,) = db._put(contents(1))
    (pack,) = packs_of(db)
    pack.unlink()
    pack.symlink_to(pack)
    with pytest.raises(DatabaseError, match="Too many levels") as raised:
        db._get(digest)
    assert not isinstance(raised.value, CorruptError)


def test_index_is_made_again_from_what_the_frames_say(db: SQLiteInterface) -> None:
    digests = db._put(contents(3))
    expected = {digest: db._place(digest) for digest in digests}
    assert dict(db._packs.contents()) == expected
    pack = packs_of(db)[0]
    content = bytearray(pack.read_bytes())
    content[expected[digests[1]].offset] ^= 1
    pack.write_bytes(content)
    del expected[digests[1]]
    assert dict(db._packs.contents()) == expected


def test_library_that_is_missing_is_no_damage(
    db: SQLiteInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    (digest,) = db._put(contents(1))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with connect(db.url) as plain:
        for act in (lambda: plain._get(digest), lambda: list(plain._packs.contents())):
            with pytest.raises(DatabaseError, match=r"pip install 'ptutils\[zstd\]'"):
                act()
