"""Servers that ask for a password, speak TLS, or are gone for a while."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from urllib.parse import quote_plus

import pymongo
import pytest

import ptutils
from ptutils.core.dbinterface import DBInterface
from ptutils.db.mongo.address import PASSWORD_VARIABLE
from ptutils.errors import DatabaseError, UnavailableError
from tests.mongod import PASSWORD, Mongod, free_port, running_mongod
from tests.soak import IS_SOAK

pytestmark = pytest.mark.mongo
SECRETS = (PASSWORD, quote_plus(PASSWORD))


def shown(error: BaseException | None) -> str:
    """Return all that a traceback would say."""
    text = ""
    while error is not None:
        text += f"{error!r} {error} "
        error = error.__cause__ or error.__context__
    return text


def has_secret(text: str) -> bool:
    return any(secret in text for secret in SECRETS)


def test_closed_database_is_opened_by_its_next_use(guarded: Mongod) -> None:
    with ptutils.connect(guarded.url) as db:
        identity = db.save({"a": 1})
        db.close()
        assert db.load(identity)["a"] == 1


def test_user_with_password_reads_and_writes_over_tls(guarded: Mongod) -> None:
    with ptutils.connect(guarded.url) as db:
        assert db.load(db.save({"a": (1, 2)}))["a"] == (1, 2)


def test_password_of_the_environment_opens_a_masked_address(
    guarded: Mongod, monkeypatch: pytest.MonkeyPatch
) -> None:
    masked = ptutils.connect(guarded.url).url
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    with ptutils.connect(masked) as db:
        assert db.exists({}) in (True, False)


def test_wrong_password_is_refused_and_not_shown(guarded: Mongod) -> None:
    db = ptutils.connect(guarded.url.replace(quote_plus(PASSWORD), "wr0ng"))
    with pytest.raises(DatabaseError, match="a user and a password") as caught:
        db.find()
    assert "wr0ng" not in shown(caught.value)
    assert not isinstance(caught.value, UnavailableError)


def test_user_without_rights_is_told_so(guarded: Mongod) -> None:
    anonymous = guarded.url.replace(f"researcher:{quote_plus(PASSWORD)}@", "")
    db = ptutils.connect(anonymous.replace("&authSource=admin", ""))
    with pytest.raises(DatabaseError, match="the right to do this"):
        db.find()


def test_unknown_authority_is_refused(guarded: Mongod) -> None:
    url, _, _ = guarded.url.partition("&tlsCAFile")
    db = ptutils.connect(f"{url}&serverSelectionTimeoutMS=700")
    with pytest.raises(DatabaseError, match=r"tlsCAFile=ca\.pem") as caught:
        db.find()
    assert not isinstance(caught.value, UnavailableError)
    assert not has_secret(shown(caught.value))


@pytest.mark.parametrize("option", ["tlsInsecure", "tlsAllowInvalidCertificates"])
def test_unverified_server_is_used_with_a_warning(
    guarded: Mongod, caplog: pytest.LogCaptureFixture, option: str
) -> None:
    url, _, _ = guarded.url.partition("&tlsCAFile")
    with ptutils.connect(f"{url}&{option}=true") as db:
        assert db.find(collection="nothing") == []
        assert db.find(collection="nothing") == []
    (warning,) = [each for each in caplog.records if each.name == "ptutils"]
    assert f"because the address says {option}=true" in warning.getMessage()
    assert not has_secret(caplog.text)


def test_password_is_neither_stored_nor_logged(
    guarded: Mongod, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with ptutils.connect(guarded.url) as db:
        db.save({"name": "a", "db": dict(db.config)})
        with pytest.raises(DatabaseError) as caught:
            db._insert("c", [{"_id": 1}, {"_id": 1}])
        assert not has_secret(repr(db.find()) + shown(caught.value) + repr(db))
    assert not has_secret(caplog.text)


def test_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    url = f"mongodb://me:secret@127.0.0.1:{free_port()}/x?serverSelectionTimeoutMS=300"
    with pytest.raises(UnavailableError, match="cannot reach this") as caught:
        ptutils.connect(url).find()
    assert "secret" not in shown(caught.value)
    assert "Connection refused" in caught.value.got
    assert len(caught.value.got) < 80


def test_user_without_a_password_is_told_where_to_give_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with pytest.raises(DatabaseError, match=f"export {PASSWORD_VARIABLE}=") as caught:
        ptutils.connect("mongodb://me@127.0.0.1/x").find()
    assert caught.value.expected == "a password for this user"


def test_transaction_of_a_killed_process_is_waited_for(tmp_path: Path) -> None:
    with (
        running_mongod(tmp_path, replica_set=True) as server,
        ptutils.connect(server.url) as db,
        pymongo.MongoClient(server.url) as client,
        client.start_session() as orphan,
    ):
        if not IS_SOAK:  # By default the server waits for a minute and more.
            client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=1)
        db._insert("c", [{"_id": 1, "a": 0}])
        orphan.start_transaction()
        client["test"]["c"].update_one({"_id": 1}, {"$set": {"a": 1}}, session=orphan)
        with db._transaction():
            db._update("c", {"_id": 1}, {"$inc": {"a": 5}})
        assert db._find("c", {}) == [{"_id": 1, "a": 5}]


def write_until_it_works(db: DBInterface, number: int) -> None:
    for _ in range(100):
        try:
            with db._transaction():
                db._insert("c", [{"_id": number}, {"_id": -number}])
                db._update("n", {"_id": 0}, {"$inc": {"n": 1}}, upsert=True)
        except UnavailableError:
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("is_member", [False, True])
def test_killed_server_is_used_again_once_it_is_back(
    tmp_path: Path, is_member: bool
) -> None:
    with running_mongod(tmp_path, replica_set=is_member) as server:
        url = f"{server.url}&serverSelectionTimeoutMS=500"
        with ptutils.connect(url) as db:
            (digest,) = db._put([b"a" * 5000])
            for number in range(1, 4):
                write_until_it_works(db, number)
                server.kill()
                with pytest.raises(UnavailableError):
                    db._find("c", {})
                with pytest.raises(UnavailableError):
                    db._insert("c", [{"_id": f"lost {number}"}])
                server.start()
            write_until_it_works(db, 4)
            assert [each["_id"] for each in db._find("c", {})] == [
                *(1, -1, 2, -2, 3, -3, 4, -4)
            ]
            assert db._find("n", {})[0]["n"] == 4
            assert bytes(db._get(digest)) == b"a" * 5000
