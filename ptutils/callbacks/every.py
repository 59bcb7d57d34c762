"""Every: how often a callback looks, as all that take ``every`` check it."""

from __future__ import annotations

from ptutils.errors import ConfigError

__all__ = ["checked_every"]


def checked_every(every: int, deed: str) -> int:
    """Return ``every``, a number of steps.

    Args:
        every: As it was given.
        deed: What is done that often, for the error: ``trace steps``.

    Raises:
        ConfigError: If it is not positive.
    """
    if every < 1:
        raise ConfigError(
            f"cannot {deed} that often",
            path="every",
            expected="an int of at least 1",
            got=str(every),
            fix="give a number of steps",
        )
    return every
