"""The address of a MongoDB server: where it leads, and how it looks without secrets."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus, unquote_plus

from ptutils.errors import DatabaseError

__all__ = ["PASSWORD_VARIABLE", "Address"]

PASSWORD_VARIABLE: Final = "PTUTILS_MONGO_PASSWORD"  # noqa: S105 - a name
"""Holds the password where the address does not."""

_MASK: Final = "***"
_DEFAULT: Final = "ptutils"
_PATTERN: Final = (
    r"mongodb(?:\+srv)?://(?:(?P<login>%s)@)?"
    r"[^/?@]+(?:/(?P<database>[^?/@]*))?(?:\?.*)?"
)
_URL: Final = re.compile(_PATTERN % "[^@/?]*", re.DOTALL)
# A password that was not percent-encoded ends at the last '@': none of it is shown.
_CARELESS: Final = re.compile(_PATTERN % ".*", re.DOTALL)
_SECRET_OPTION: Final = re.compile(
    r"((?:tlsCertificateKeyFilePassword|authMechanismProperties|proxyPassword)=)[^&]*",
    re.IGNORECASE,
)
_TRUSTING_OPTION: Final = re.compile(
    r"[?&]((?:tlsInsecure|tlsAllowInvalidCertificates|tlsAllowInvalidHostnames)=true)"
    r"(?=&|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Address:
    """A ``mongodb://`` or ``mongodb+srv://`` URL, taken apart.

    Attributes:
        url: With every secret replaced by ``***``.
        database: Which of the server's databases is meant.
    """

    url: str
    database: str
    _full: str
    _user: str | None
    _password: str | None

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take a URL apart.

        Raises:
            DatabaseError: If it is none of MongoDB.
        """
        match = _URL.fullmatch(url) or _CARELESS.fullmatch(url)
        if match is None:
            raise DatabaseError(
                "cannot use this address of a MongoDB server",
                path=_hide(url),
                expected="mongodb://HOST/DATABASE or mongodb://USER:PASSWORD@HOST/...",
                got=repr(_hide(url)),
            )
        login = match["login"]
        user, has_password, password = (login or "").partition(":")
        masked = url
        if has_password:
            end = match.end("login")
            masked = f"{url[: match.start('login')]}{user}:{_MASK}{url[end:]}"
        return cls(
            url=_SECRET_OPTION.sub(rf"\1{_MASK}", masked),
            database=match["database"] or _DEFAULT,
            _full=url,
            _user=user if login is not None else None,
            _password=password if has_password else None,
        )

    def __repr__(self) -> str:
        return f"Address({self.url!r})"

    @property
    def trusting(self) -> list[str]:
        """The options by which no, or any, certificate proves who the server is."""
        return _TRUSTING_OPTION.findall(self._full)

    def to_connect(self) -> str:
        """Return the URL to connect to, secrets included; reads the environment.

        Raises:
            DatabaseError: If the password is masked and is not in the environment.
        """
        held = os.environ.get(PASSWORD_VARIABLE)
        is_masked = self._password == _MASK
        if is_masked and not held:
            raise DatabaseError(
                "cannot log in to this database",
                path=self.url,
                expected="a password",
                got=f"{_MASK}, which stands where it was left out",
                fix=f"give it in the environment: export {PASSWORD_VARIABLE}=...",
            )
        is_left_out = self._user is not None and self._password is None
        if held and (is_masked or (is_left_out and "X509" not in self._full)):
            scheme, _, rest = self._full.partition("://")
            _, _, place = rest.rpartition("@")
            return f"{scheme}://{self._user}:{quote_plus(held)}@{place}"
        return self._full

    def hide(self, text: str) -> str:
        """Return a text with the password masked, as far as it occurs there."""
        known = {self._password, os.environ.get(PASSWORD_VARIABLE)} - {None, "", _MASK}
        for secret in known:
            for spelling in (str(secret), unquote_plus(str(secret))):
                text = text.replace(spelling, _MASK)
        return _hide(text)


def _hide(text: str) -> str:
    text = _SECRET_OPTION.sub(rf"\1{_MASK}", text)
    return re.sub(r"(mongodb(?:\+srv)?://[^:@/\s]*):[^\s]*@", rf"\1:{_MASK}@", text)
