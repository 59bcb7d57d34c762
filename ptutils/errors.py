"""Every exception of ptutils; this file imports nothing of ours.

The hierarchy, each refining the builtin in brackets::

    PtutilsError
    ├── ConfigError [ValueError]            a config that cannot be built: every fault
    │   └── TrustError [PermissionError]    a name that the caller does not trust
    ├── EncodeError [TypeError]             a value that cannot be stored exactly
    ├── DecodeError [ValueError]            stored data that is damaged or not ours
    ├── FormatError [ValueError]            an unknown, unsafe or too narrow format
    ├── MissingNameError [KeyError, AttributeError]   a path that leads nowhere
    ├── StateMismatchError [ValueError]     a state that does not fit the tree
    ├── CallbackError [TypeError]           a callback or stage that cannot be attached
    ├── StatusError [RuntimeError]          an illegal transition of a run
    ├── DivergenceError [ArithmeticError]   a loss or gradient that is not finite
    ├── DataError [RuntimeError]            reading or loading data that failed
    ├── QueryError [ValueError]             a filter, sort or update that is wrong
    ├── DatabaseError [RuntimeError]        a database that cannot be opened or written
    │   ├── NotFoundError [LookupError]     what the database does not have
    │   ├── CorruptError [OSError]          stored bytes that are damaged
    │   ├── UnavailableError [ConnectionError]   a database out of reach for the moment
    │   │   └── ConflictError               what was read, another process changed
    │   └── LeaseError [BlockingIOError]    a run that another process is writing
    └── StopTraining                        an order to end training, with a reason
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "CallbackError",
    "ConfigError",
    "ConflictError",
    "CorruptError",
    "DataError",
    "DatabaseError",
    "DecodeError",
    "DivergenceError",
    "EncodeError",
    "FormatError",
    "LeaseError",
    "MissingNameError",
    "NotFoundError",
    "PtutilsError",
    "QueryError",
    "StateMismatchError",
    "StatusError",
    "StopTraining",
    "TrustError",
    "UnavailableError",
    "nearest",
]


class PtutilsError(Exception):
    """Say what could not be done and where, what was expected, and how to mend it.

    Args:
        what: What could not be done, naming the user's object: ``cannot load state``.
        path: The dotted path it happened at, or ``""`` where there is none.
        expected: What would have been right.
        got: What was found instead.
        fix: What to do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        path: str = "",
        expected: str = "",
        got: str = "",
        fix: str = "",
    ) -> None:
        self.what = what
        self.path = path
        self.expected = expected
        self.got = got
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        lines = [f"{self.what} at {self.path!r}" if self.path else self.what]
        for label in ("expected", "got", "fix"):
            text = getattr(self, label)
            if text:
                lines.append(f"  {label + ':':<9} {text}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process borders (data workers); the default would lose
        # every keyword-only argument.
        return (_revive, (type(self), self.what, dict(self.__dict__)))


def _revive(
    kind: type[PtutilsError], what: str, fields: dict[str, object]
) -> PtutilsError:
    error = kind(what)
    error.__dict__.update(fields)
    return error


class ConfigError(PtutilsError, ValueError):
    """A config cannot be built; the message lists every fault with its path."""

    faults: tuple[PtutilsError, ...] = ()

    @classmethod
    def combine(cls, what: str, faults: Sequence[PtutilsError]) -> PtutilsError:
        """Return one error for all ``faults``: itself where there is only one."""
        if len(faults) == 1:
            return faults[0]
        untrusted = all(isinstance(fault, TrustError) for fault in faults)
        error = (TrustError if untrusted else cls)(f"{what}: {len(faults)} faults")
        error.faults = tuple(faults)
        return error

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *map(str, self.faults)])


class TrustError(ConfigError, PermissionError):
    """A config or document names something that the caller does not trust."""


class EncodeError(PtutilsError, TypeError):
    """A value cannot be stored exactly."""


class DecodeError(PtutilsError, ValueError):
    """Stored data is damaged, or was not written by ptutils."""


class FormatError(PtutilsError, ValueError):
    """A file's format is unknown, unsafe without trust, or cannot hold the value."""


class MissingNameError(PtutilsError, KeyError, AttributeError):
    """A MetaModule holds nothing under this path."""


class StateMismatchError(PtutilsError, ValueError):
    """A state does not fit the tree that it was to be loaded into."""


class CallbackError(PtutilsError, TypeError):
    """A callback or stage cannot be attached as it is declared."""


class StatusError(PtutilsError, RuntimeError):
    """A run cannot change from its phase to the one asked for."""


class DivergenceError(PtutilsError, ArithmeticError):
    """A loss, an output or a gradient is not finite."""


class DataError(PtutilsError, RuntimeError):
    """A dataset, reader, sampler or loader failed."""


class QueryError(PtutilsError, ValueError):
    """A filter, sort, projection, update or text query is wrong."""


class DatabaseError(PtutilsError, RuntimeError):
    """A database cannot be opened, read or written."""


class NotFoundError(DatabaseError, LookupError):
    """A run, checkpoint, document or artifact is not in the database."""


class CorruptError(DatabaseError, OSError):
    """Stored bytes no longer match their digest."""


class UnavailableError(DatabaseError, ConnectionError):
    """A database cannot be reached for the moment: the same call may succeed later."""


class ConflictError(UnavailableError):
    """Another process wrote what a transaction had read: begin it again."""


class LeaseError(DatabaseError, BlockingIOError):
    """Another process holds the run."""


class StopTraining(PtutilsError):  # noqa: N818 - an order, not an error; named by users
    """Raise from a callback or stage to end training; the reason is kept in Status.

    Args:
        reason: Why training ends, in words for a person.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the one of ``names`` most like ``name``, or ``""`` if none is close.

    Example:
        >>> nearest("lerning_rate", ["learning_rate", "momentum"])
        'learning_rate'
    """
    close = difflib.get_close_matches(name, [str(known) for known in names], n=1)
    return close[0] if close else ""
