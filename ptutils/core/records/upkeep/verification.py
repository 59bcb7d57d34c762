"""Verification: everything is read and hashed again; what can be mended is mended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ptutils.core.hooks import Fault
from ptutils.core.records.document import unseal
from ptutils.core.records.upkeep.checking import (
    check_checkpoint,
    check_history,
    check_run,
)
from ptutils.core.records.upkeep.garbage import DAMAGED, references
from ptutils.errors import CorruptError, DatabaseError, NotFoundError, PtutilsError
from ptutils.meta.codec import Buffer
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["verify"]

_UNREADABLE: Final = (PtutilsError, LookupError, TypeError, ValueError, AttributeError)
"""What reading a damaged document may raise."""

_MOST_NAMED: Final = 20


def verify(db: DBInterface, *, repair: bool = False) -> list[Fault]:
    """Read everything and return what is wrong; see :meth:`DBInterface.verify`."""
    faults = list(db._inspect(repair=repair))
    told = tuple({fault.where for fault in faults if not fault.is_repaired})
    verification = _Verification(db, told, repair=repair)
    return [*faults, *verification.documents(), *verification.artifacts()]


@dataclass(frozen=True)
class _Document:
    """A document, and how a person would call it."""

    collection: str
    id: str
    label: str

    @property
    def is_checkpoint(self) -> bool:
        return self.collection == "checkpoints"


class _Verification:
    """One reading of a database.

    What it reads of a checkpoint is its document and, once for all that refer to it,
    each artifact.
    """

    def __init__(self, db: DBInterface, told: tuple[str, ...], *, repair: bool) -> None:
        self._db = db
        self._told = told
        self._repair = repair
        self._users: defaultdict[str, set[_Document]] = defaultdict(set)
        self._read: set[str] = set()
        self._places: defaultdict[str, list[Document]] = defaultdict(list)

    def documents(self) -> Iterator[Fault]:
        """Yield what is wrong with documents; remember which artifacts they need."""
        try:
            collections = self._db._collections()
        except CorruptError as error:
            yield _fault(self._db.url, error)
            return
        # In this order: checkpoints, then History, then runs.
        for collection in collections:
            try:
                yield from self._collection(collection)
            except CorruptError as error:
                yield _fault(f"collection {collection!r}", error)

    def artifacts(self) -> Iterator[Fault]:
        """Yield what is wrong with artifacts, by the file or database they are in."""
        try:
            digests = self._db._stored().keys() | self._users.keys()
        except CorruptError as error:
            yield _fault("artifacts", error)
            return
        bad: defaultdict[str, dict[str, DatabaseError]] = defaultdict(dict)
        for digest in sorted(digests - self._read):
            try:
                self._db._get(digest)
            except (CorruptError, NotFoundError) as error:
                is_told = isinstance(error, CorruptError) and error.path.endswith(
                    self._told
                )
                if not is_told:
                    bad[error.path][digest] = error
        for where, errors in bad.items():
            yield self._lost(where, errors)

    def _collection(self, collection: str) -> Iterator[Fault]:
        if collection in (DAMAGED, "history"):
            return  # What is damaged is known; History is read run by run.
        for document in self._db._readable(collection):
            user = _named(collection, document)
            for digest in references(collection, document):
                self._users[digest].add(user)
            yield from self._document(user, document)
            if collection == "runs":
                yield from self._history(user, document)

    def _document(self, user: _Document, document: Document) -> Iterator[Fault]:
        try:
            if user.is_checkpoint:
                place = {name: document[name] for name in ("segment", "chunks")}
                self._places[document["run"]].append(place)
                check_checkpoint(self._db, document)
            elif user.collection == "runs":
                check_run(self._db, document)
            else:
                unseal(document, self._get)
        except _UNREADABLE as error:
            _check_is_damage(error)
            # An artifact is told once, with all that need it.
            if not isinstance(error, (CorruptError, NotFoundError)) or not error.path:
                yield self._unreadable(user, error)

    def _unreadable(self, user: _Document, error: Exception) -> Fault:
        is_moved = self._repair and user.is_checkpoint
        if is_moved:
            self._move(user.id, _reason(error))
        return Fault(
            where=f"{user.collection}.{user.id}",
            what=_reason(error),
            affects=user.label,
            is_repaired=is_moved,
        )

    def _history(self, user: _Document, run: Document) -> Iterator[Fault]:
        try:
            what = check_history(self._db, run, self._places[run["_id"]])
        except _UNREADABLE as error:
            _check_is_damage(error)
            what = _reason(error)
        if what:
            yield Fault(where=f"history of {user.label}", what=what, affects=user.label)

    def _lost(self, where: str, errors: dict[str, DatabaseError]) -> Fault:
        """Return the fault of artifacts that cannot be read.

        To repair it they are forgotten: when the same bytes come again, they would be
        taken to be there.
        """
        users = {user for digest in errors for user in self._users.get(digest, ())}
        (digest, error), *others = errors.items()
        what = f"artifact {digest}: {_reason(error)}"
        if others:
            what += f"; and {len(others)} more artifacts"
        if self._repair:
            kept = self._db._put_aside(errors)
            if kept:
                what += f"; what is left is kept as {', '.join(kept)}"
            for user in users:
                if user.is_checkpoint:
                    self._move(user.id, what)
        return Fault(
            where=where,
            what=what,
            affects=_listed(user.label for user in users),
            is_repaired=self._repair and all(user.is_checkpoint for user in users),
        )

    def _move(self, identity: str, what: str) -> None:
        """Let resume pass over a checkpoint that cannot be loaded."""
        which = {"_id": identity}
        with self._db._transaction():
            for found in self._db._find("checkpoints", which):
                self._db._delete(DAMAGED, which)
                self._db._insert(DAMAGED, [{**found, "damage": what}])
            self._db._delete("checkpoints", which)

    def _get(self, digest: str) -> Buffer:
        artifact = self._db._get(digest)
        self._read.add(digest)
        return artifact


def _named(collection: str, document: Document) -> _Document:
    identity: Value = document["_id"]
    label = f"{collection} {identity}"
    if collection == "checkpoints":
        run, step = document.get("run"), document.get("step")
        label = f"checkpoint {identity} (run {run}, step {step})"
    elif collection == "runs":
        label = f"run {identity}"
    return _Document(collection, str(identity), label)


def _check_is_damage(error: Exception) -> None:
    """Let through what says nothing about the data: a database out of reach, say."""
    is_of_database = isinstance(error, DatabaseError)
    if is_of_database and not isinstance(error, (CorruptError, NotFoundError)):
        raise error


def _fault(where: str, error: Exception) -> Fault:
    return Fault(where=where, what=_reason(error), affects="the rest of it, unseen")


def _reason(error: Exception) -> str:
    """Return one line that says what is wrong."""
    if not isinstance(error, PtutilsError):
        return f"{type(error).__name__}: {error}"
    path = f" at {error.path!r}" if error.path else ""
    got = f": {error.got}" if error.got else ""
    return f"{error.what}{path}{got}"


def _listed(labels: Iterable[str]) -> str:
    names = sorted(labels)
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
