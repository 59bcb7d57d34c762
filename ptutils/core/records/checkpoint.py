"""Checkpoints: the State of a Session at one step, as it lies in a database."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from blake3 import blake3

from ptutils.core.records.artifacts import Group, Kept, groups_of, stored_artifacts
from ptutils.core.records.document import SIDECAR, seal, unseal
from ptutils.core.records.reading import REPLACE, OwnStorages
from ptutils.core.records.shape import CHECKPOINT, STORED_STATE, check
from ptutils.errors import CorruptError, NotFoundError
from ptutils.meta.codec import Encoded, decode, dumps
from ptutils.meta.codec.plain import loads_canonical
from ptutils.meta.codec.slices import joined
from ptutils.meta.config import Config
from ptutils.meta.digest import stored_digest
from ptutils.meta.lazy import lazy_state
from ptutils.meta.state import State
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = [
    "OLDEST_FIRST",
    "STATE_HIDDEN",
    "Checkpoint",
    "check_state",
    "decode_fields",
    "encode_fields",
    "state_fields",
]

STATE_HIDDEN = {"state.skeleton": 0, "state.types": 0, "artifacts": 0, "slices": 0}
"""A projection that leaves out a checkpoint's State, but for its digest."""

OLDEST_FIRST = (("segment", 1), ("step", 1), ("chunks", 1), ("created", 1))
"""The order in which checkpoints were taken, whatever clocks the machines had."""

_WHOLE_BYTES = 1 << 20
"""A State up to this size goes into the document as a whole, without a pack."""


class Checkpoint:
    """One stored checkpoint of a run; its State is read and verified when asked for.

    Attributes:
        id: Its key in the collection ``checkpoints``.
        run: The id of its run.
        step: Updates done.
        epoch: Full passes done.
        why: ``schedule``, ``last``, ``interrupt``, ``manual``.
        created: When it was taken.
        metrics: The last validation's, at that step.
        elapsed_s: Seconds of training up to it.
        is_pinned: Whether it stays whatever the schedule drops.
        segment: The segment of History it was taken in.
        chunks: How many chunks of that segment lie before it.
    """

    def __init__(self, db: DBInterface, document: Document) -> None:
        check(document, CHECKPOINT, "checkpoints")
        self._db = db
        self._document = document
        self.id: str = document["_id"]
        self.run: str = document["run"]
        self.step: int = document["step"]
        self.epoch: int = document["epoch"]
        self.why: str = document["why"]
        self.created: datetime = document["created"]
        self.metrics: Document = document["metrics"]
        self.elapsed_s: float = document["elapsed_s"]
        self.is_pinned: bool = document["pinned"]
        self.segment: int = document["segment"]
        self.chunks: int = document["chunks"]

    @property
    def digest(self) -> str:
        """That of the State, as ``state.digest()``: equal digests are equal bits."""
        return str(self._document["state"]["digest"])

    @property
    def state(self) -> State:
        """The State, of which each tensor is read and verified when it is asked for.

        ``state["trainer.model.net.0.weight"]`` reads that one alone, while the run
        keeps the checkpoint. :meth:`read` reads all at once.

        Raises:
            CorruptError: If the document is not what was written; if a tensor is not,
                then when it is asked for.
            NotFoundError: If the checkpoint, or later a tensor, is gone.
        """
        with _collecting_later():
            encoded, _ = self._stored(verify=True)
            return lazy_state(encoded)

    def read(self, *, device: str | None = "cpu", verify: bool = True) -> State:
        """Return the State with everything in it read.

        On the CPU large tensors are mapped from the database's files: writing to them
        changes no file, and is seen in no other State.

        Args:
            device: Where to put tensors; None for where they were.
            verify: Compare every byte with its digest. Without, a tensor that a disk
                damaged loads as it is; the rest of the State is verified all the same.

        Raises:
            CorruptError: If what is stored is not what was written.
            NotFoundError: If a part of it is gone.
        """
        with _collecting_later():
            encoded, storages = self._stored(verify=verify)
            storages.read_all()
            return State(decode(encoded, device=device))

    @property
    def config(self) -> Config | None:
        """The config that rebuilds what was saved; None where it is the run's own."""
        if "config" not in self._document:
            return None
        return Config(decode_fields(self._db, self._document, ["config"])["config"])

    def _document_now(self) -> Document:
        for document in self._db._find("checkpoints", {"_id": self.id}, limit=1):
            return document
        raise NotFoundError(
            f"cannot load checkpoint {self.id!r}",
            expected="one that the run keeps",
            got="one that was dropped since it was found",
            fix="choose another of run.checkpoints",
        )

    def _stored(self, *, verify: bool) -> tuple[Encoded, OwnStorages]:
        document = self._document_now()
        check_state(document)
        stored = document["state"]
        groups = groups_of(document, self._owner)
        storages = OwnStorages(groups, self._db, self._owner, verify=verify)
        encoded = Encoded(
            document=loads_canonical(stored["skeleton"]),
            types=stored["types"],
            artifacts=storages,
        )
        return encoded, storages

    @property
    def _owner(self) -> str:
        return f"checkpoint {self.id!r}"

    def __repr__(self) -> str:
        return f"Checkpoint({self.id!r}, step={self.step}, epoch={self.epoch})"


def check_state(document: Document) -> None:
    """Refuse a checkpoint's document whose State is not the one that was written.

    It reads no artifacts: their digests are part of the State's.

    Raises:
        CorruptError: If its digest is another.
    """
    check(document, STORED_STATE, "checkpoints")
    stored = document["state"]
    groups = groups_of(document, f"checkpoint {document['_id']!r}")
    found = stored_digest(stored["skeleton"], stored["types"], _digests(groups))
    if found != stored["digest"]:
        raise CorruptError(
            f"cannot load checkpoint {document['_id']!r}",
            expected=f"a state with digest {stored['digest']}",
            got=f"one with digest {found}",
            fix=REPLACE,
        )


def state_fields(
    db: DBInterface, encoded: Encoded, kept: Mapping[int, Kept] | None = None
) -> Document:
    """Store a State's artifacts; return the fields of the document that refers to them.

    The artifacts are durable when this returns.

    Args:
        db: Where to.
        encoded: The State.
        kept: Its artifacts by position that lie in the database already.
    """
    kept = kept or {}
    whole = not kept and sum(map(len, encoded.artifacts)) <= _WHOLE_BYTES
    bound = {"inline_bytes": _WHOLE_BYTES} if whole else {}
    every = [kept.get(at, item) for at, item in enumerate(encoded.artifacts)]
    fields = stored_artifacts(every, db._put, **bound)
    skeleton = dumps(encoded.document)
    digests = _digests(groups_of(fields, "this State"))
    return {
        "state": {
            "skeleton": skeleton,
            "types": encoded.types,
            "digest": stored_digest(skeleton, encoded.types, digests),
        },
        **fields,
    }


def encode_fields(db: DBInterface, fields: Document) -> Document:
    """Encode named values so that each stays natural to query under its own name.

    What plain values cannot tell is kept under the reserved name ``_ptutils``, also
    where there is nothing to keep: an update then replaces what was there before.
    """
    sealed = seal({"_id": None, **fields}, db._put)
    del sealed["_id"]
    return {SIDECAR: None, **sealed}


def decode_fields(
    db: DBInterface, document: Document, names: Iterable[str]
) -> dict[str, Value]:
    """Undo :func:`encode_fields`; ``names`` are the fields that it was given."""
    names = [SIDECAR, *names] if document.get(SIDECAR) else list(names)
    return unseal({name: document[name] for name in names}, db._get)


@contextlib.contextmanager
def _collecting_later() -> Iterator[None]:
    """Pause the search for garbage: of thousands of new objects none is any yet."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _digests(groups: Iterable[Group]) -> list[str]:
    """Return the digest of each storage; equal ones are hashed once."""
    known: dict[bytes, str] = {}

    def digest(item: bytes | str) -> str:
        if isinstance(item, str):
            return item
        if item not in known:
            known[item] = blake3(item).hexdigest()
        return known[item]

    return [joined(list(map(digest, group))) for group in groups]
