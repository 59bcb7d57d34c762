"""Artifacts: bytes by their digest, stored once, verified, dropped only when old."""

from __future__ import annotations

import time
from datetime import UTC, timedelta

import pytest
from blake3 import blake3

from ptutils.core.dbinterface import DBInterface
from ptutils.core.records.identity import now
from ptutils.errors import CorruptError, NotFoundError
from ptutils.meta.codec import Buffer
from ptutils.testing.contract.base import Contract, in_threads

__all__ = ["ArtifactsContract"]

HOUR = timedelta(hours=1)


class ArtifactsContract(Contract):
    """Put, get, list and drop bytes."""

    def test_artifacts_come_back_by_digest(self, db: DBInterface) -> None:
        contents: list[Buffer] = [b"", b"a", b"b" * 5000, memoryview(bytes(64))]
        digests = db._put(contents)
        assert digests == [blake3(each).hexdigest() for each in contents]
        assert [bytes(db._get(each)) for each in digests] == [*map(bytes, contents)]

    def test_putting_nothing_is_allowed(self, db: DBInterface) -> None:
        assert (db._put([]), db._stored()) == ([], {})

    def test_empty_artifact_is_an_artifact(self, db: DBInterface) -> None:
        (digest,) = db._put([b""])
        assert (bytes(db._get(digest)), db._stored()[digest].size) == (b"", 0)

    def test_artifacts_of_one_content_are_one(self, db: DBInterface) -> None:
        digests = db._put([b"a", b"b", b"a"])
        assert digests[0] == digests[2] == db._put([b"a"])[0]
        assert set(db._stored()) == set(digests)

    def test_many_artifacts_are_put_at_once(self, db: DBInterface) -> None:
        contents = [b"%d" % i * (i % 40) for i in range(600)]
        digests = db._put(contents)
        assert [bytes(db._get(each)) for each in digests] == contents

    def test_large_artifact_comes_back(self, db: DBInterface) -> None:
        content = bytes(range(256)) * 80_000  # 20 MB: more than a MongoDB document.
        (digest,) = db._put([content])
        assert db._get(digest) == content

    def test_artifact_comes_back_as_a_flat_view(self, db: DBInterface) -> None:
        (digest,) = db._put([b"abc" * 1000])
        found = db._get(digest)
        assert (type(found), found.format, found.nbytes) == (memoryview, "B", 3000)

    def test_missing_artifact_is_named(self, db: DBInterface) -> None:
        with pytest.raises(NotFoundError, match="found no artifact " + "0" * 64):
            db._get("0" * 64)

    @pytest.mark.parametrize(
        "digest",
        ["", "x", "../../etc/passwd", "/etc/passwd", "0" * 63, "\0", "a" * 9999],
    )
    def test_what_is_no_digest_is_not_found(self, db: DBInterface, digest: str) -> None:
        with pytest.raises(NotFoundError, match="found no artifact"):
            db._get(digest)
        assert db._stored([digest]) == {}

    def test_damaged_artifact_is_an_error(self, db: DBInterface) -> None:
        good, bad = db._put([b"good" * 1000, b"bad" * 1000])
        self.damage(db, bad)
        db.close()
        with pytest.raises(CorruptError, match=bad):
            db._get(bad)
        assert bytes(db._get(good)) == b"good" * 1000

    def test_stored_tells_size_and_time(self, db: DBInterface) -> None:
        before = now()
        (digest,) = db._put([b"a" * 3000])
        (found,) = db._stored().values()
        assert (found.size, found.put.tzinfo) == (3000, UTC)
        assert before <= found.put <= now()
        assert db._stored([digest]) == {digest: found}

    def test_stored_leaves_out_what_is_not_here(self, db: DBInterface) -> None:
        first, _ = db._put([b"a", b"b" * 5000])
        assert set(db._stored([first, "0" * 64])) == {first}
        assert db._stored([]) == {}

    def test_putting_again_renews_the_time(self, db: DBInterface) -> None:
        (digest,) = db._put([b"a" * 3000])
        first = db._stored()[digest].put
        time.sleep(0.01)
        db._put([b"new" * 1000, b"a" * 3000])
        assert db._stored()[digest].put > first

    def test_dropped_artifact_is_gone(self, db: DBInterface) -> None:
        (digest,) = db._put([b"a" * 3000])
        assert db._drop([digest], now() + HOUR) > 0
        assert db._stored() == {}
        with pytest.raises(NotFoundError, match="found no artifact"):
            db._get(digest)

    def test_drop_leaves_the_others_of_one_put(self, db: DBInterface) -> None:
        digests = db._put([b"%d" % i * 2000 for i in range(5)])
        db._drop(digests[1:3], now() + HOUR)
        db.close()
        assert set(db._stored()) == {digests[0], *digests[3:]}
        assert bytes(db._get(digests[4])) == b"4" * 2000

    def test_drop_spares_what_was_put_since(self, db: DBInterface) -> None:
        old, new = db._put([b"old" * 1000, b"new" * 1000])
        time.sleep(0.01)
        before = now()
        db._put([b"new" * 1000])
        db._drop([old, new], before)
        assert set(db._stored()) == {new}

    def test_drop_of_what_is_not_here_does_nothing(self, db: DBInterface) -> None:
        db._put([b"a" * 3000])
        assert db._drop(["0" * 64, "../x"], now() + HOUR) == 0
        assert len(db._stored()) == 1

    def test_dropped_artifact_can_be_put_again(self, db: DBInterface) -> None:
        (digest,) = db._put([b"a" * 3000])
        db._drop([digest], now() + HOUR)
        assert db._put([b"a" * 3000]) == [digest]
        assert bytes(db._get(digest)) == b"a" * 3000

    def test_threads_put_and_get_at_once(self, db: DBInterface) -> None:
        def work(number: int) -> bool:
            contents = [b"%d" % i * 3000 for i in (number, number + 1, 99)]
            digests = db._put(contents)
            return [bytes(db._get(each)) for each in digests] == contents

        assert in_threads(4, work) == [True] * 4
