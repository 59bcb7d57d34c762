"""Errors of pymongo as ours, without secrets."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Final

from bson.errors import BSONError, InvalidBSON
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    InvalidName,
    OperationFailure,
    PyMongoError,
    WriteError,
)

from ptutils.db.mongo.address import PASSWORD_VARIABLE, Address
from ptutils.errors import CorruptError, DatabaseError, UnavailableError

__all__ = ["does_not_fit", "is_duplicate", "is_refused", "is_transient", "translated"]

_LOGIN: Final = (18, 8000)
_RIGHTS: Final = 13
_DUPLICATE: Final = (11000, 11001)
_AWAY: Final = (6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436)
_NOT_ABOUT_VALUES: Final = (50, 64, 79, 100, 112, 225, 244, 251, 256, 14031)
"""Time, write concerns, transactions, a full disk: nothing that this side knows."""
_DETAILS: Final = re.compile(r" \(configured timeouts|, Timeout: |, Topology ")
"""Where the driver begins to describe all that it knows of a server."""
_TLS: Final = ("CERTIFICATE_VERIFY_FAILED", "SSL handshake failed", "certificate")


def is_transient(error: PyMongoError) -> bool:
    """Return whether a transaction failed because others wrote, and may be repeated."""
    is_away = isinstance(error, ConnectionFailure)
    return not is_away and error.has_error_label("TransientTransactionError")


def is_duplicate(error: PyMongoError) -> bool:
    """Return whether an ``_id`` was taken."""
    return _code(error) in _DUPLICATE


def is_refused(error: PyMongoError) -> bool:
    """Return whether the server cannot answer this question, whoever asks it.

    Then it is answered on this side, by the rules of all backends.
    """
    if isinstance(error, DocumentTooLarge):
        return True
    code = _code(error)
    others = (None, _RIGHTS, *_LOGIN, *_DUPLICATE, *_AWAY, *_NOT_ABOUT_VALUES)
    return code not in others


def does_not_fit(error: Exception) -> bool:
    """Return whether a document is too large, or too deep, for the server."""
    if isinstance(error, InvalidBSON):
        return False  # It was read, not written.
    if isinstance(error, BSONError | DocumentTooLarge | RecursionError):
        return True
    return isinstance(error, PyMongoError) and is_refused(error)


@contextlib.contextmanager
def translated(address: Address) -> Iterator[None]:
    """Raise what pymongo raises within as one of our errors."""
    try:
        yield
    except (PyMongoError, BSONError) as error:
        ours = _as_ours(error, address)
        if isinstance(error, ConfigurationError):
            raise ours from None  # Its text may quote the address.
        raise ours from error


def _as_ours(error: Exception, address: Address) -> DatabaseError:
    got = address.hide(str(error))[:1000]
    if isinstance(error, BSONError):
        return CorruptError(
            "cannot read a document",
            path=address.url,
            expected="values that ptutils writes",
            got=got,
            fix="keep what other programs write in another database",
        )
    if isinstance(error, ConnectionFailure) and any(each in got for each in _TLS):
        return _refusal(
            address,
            "a certificate that is trusted here, for this host",
            got,
            "name the authority's file in the address: ...?tls=true&tlsCAFile=ca.pem",
        )
    if isinstance(error, ConnectionFailure) or _code(error) in _AWAY:
        return UnavailableError(
            "cannot reach this database for the moment",
            path=address.url,
            expected="an answer from the MongoDB server",
            got=_DETAILS.split(got)[0],
            fix="see that the server runs and can be reached, then try again",
        )
    return _refusal(address, *_explain(error, got))


def _explain(error: Exception, got: str) -> tuple[str, str, str]:
    code = _code(error)
    if code in _LOGIN:
        fix = (
            "correct user and password (percent-encoded), name the database of the "
            f"user with ?authSource=..., or give the password in {PASSWORD_VARIABLE}"
        )
        return "a user and a password that the server knows", got, fix
    if code == _RIGHTS:
        fix = "log in as a user with the role readWrite on this database"
        return "the right to do this", got, fix
    if isinstance(error, ConfigurationError) and "password is required" in got:
        fix = f"give it in the environment: export {PASSWORD_VARIABLE}=..."
        return "a password for this user", "none", fix
    if isinstance(error, ConfigurationError | InvalidName):
        return "what pymongo takes as an address or a name", got, ""
    return "an answer from MongoDB", got, ""


def _refusal(address: Address, expected: str, got: str, fix: str) -> DatabaseError:
    return DatabaseError(
        "cannot use this database",
        path=address.url,
        expected=expected,
        got=got,
        fix=fix,
    )


def _code(error: Exception) -> int | None:
    """Return the code of the first thing that the server refused."""
    if not isinstance(error, OperationFailure):
        return None
    details = error.details or {}
    refused = details.get("writeErrors")
    if refused and not isinstance(error, WriteError):
        code: int = refused[0]["code"]
        return code
    return error.code
