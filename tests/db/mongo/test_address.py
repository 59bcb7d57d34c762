"""Addresses are taken apart, and never show a password."""

from __future__ import annotations

import pytest

from ptutils.db.mongo.address import PASSWORD_VARIABLE, Address
from ptutils.db.mongo.interface import MongoInterface
from ptutils.errors import ConfigError, DatabaseError


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("mongodb://host", "mongodb://host"),
        ("mongodb://me:secret@host/db", "mongodb://me:***@host/db"),
        ("mongodb+srv://me:secret@host/db?w=1", "mongodb+srv://me:***@host/db?w=1"),
        ("mongodb://me:sec@r/et@host/db", "mongodb://me:***@host/db"),
        ("mongodb://me@host,other:27018/db", "mongodb://me@host,other:27018/db"),
        (
            "mongodb://h/?tlsCertificateKeyFilePassword=secret&a=1",
            "mongodb://h/?tlsCertificateKeyFilePassword=***&a=1",
        ),
        (
            "mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:secret",
            "mongodb://h/?authMechanismProperties=***",
        ),
    ],
)
def test_password_is_masked(url: str, masked: str) -> None:
    address = Address.parse(url)
    assert (address.url, repr(address)) == (masked, f"Address({masked!r})")


@pytest.mark.parametrize(
    ("url", "name"),
    [("mongodb://h", "ptutils"), ("mongodb://h/", "ptutils"), ("mongodb://h/a?b", "a")],
)
def test_database_is_that_of_the_path(url: str, name: str) -> None:
    assert Address.parse(url).database == name


def test_what_is_no_address_is_refused_without_its_password() -> None:
    with pytest.raises(DatabaseError, match="cannot use this address") as caught:
        Address.parse("mongodb://me:secret@")
    assert "secret" not in str(caught.value)
    assert caught.value.got == "'mongodb://me:***@'"


def test_masked_password_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "p@ss")
    for url in ("mongodb://me:***@host/db", "mongodb://me@host/db"):
        assert Address.parse(url).to_connect() == "mongodb://me:p%40ss@host/db"


def test_password_of_the_address_wins_over_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "other")
    url = "mongodb://me:secret@host/db"
    assert Address.parse(url).to_connect() == url


def test_masked_address_says_how_to_give_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    db = MongoInterface("mongodb://me:***@host/db")
    with pytest.raises(DatabaseError, match=f"export {PASSWORD_VARIABLE}="):
        db.find()


def test_password_is_in_neither_config_nor_repr_nor_url() -> None:
    db = MongoInterface("mongodb://me:secret@host/db")
    assert "secret" not in repr([db, db.config, db.url, db.to_meta()])
    assert MongoInterface.from_meta(config=db.config).config == db.config


def test_wrong_option_is_refused_without_the_password() -> None:
    db = MongoInterface("mongodb://me:secret@127.0.0.1/db?readPreference=nonsense")
    with pytest.raises(DatabaseError, match="what pymongo takes") as caught:
        db.find()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_patience_is_a_length_of_time() -> None:
    assert MongoInterface(patience="5 min").patience_s == 300
    with pytest.raises(ConfigError, match="cannot wait so long for a server"):
        MongoInterface(patience="3 epochs")


@pytest.mark.parametrize(
    ("options", "trusting"),
    [
        ("", []),
        ("?tls=true&tlsInsecure=false", []),
        ("?tlsInsecure=true", ["tlsInsecure=true"]),
        ("?tls=true&TLSALLOWINVALIDHOSTNAMES=True", ["TLSALLOWINVALIDHOSTNAMES=True"]),
    ],
)
def test_options_that_verify_nobody_are_named(
    options: str, trusting: list[str]
) -> None:
    assert Address.parse(f"mongodb://host/db{options}").trusting == trusting
