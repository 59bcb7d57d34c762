"""The hooks of a database: what each backend fills, in plain documents and bytes.

Plain documents are those of :data:`ptutils.meta.values.Document`; types, tensors, runs
and checkpoints are dealt with above the hooks, once for every backend.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from ptutils.core.records.identity import now
from ptutils.errors import NotFoundError
from ptutils.meta.codec import Buffer
from ptutils.meta.values import Document

__all__ = ["Fault", "Hooks", "Stored", "View"]

_PAGE: Final = 50

View: TypeAlias = Callable[[Sequence[str]], memoryview | None]
"""Maps artifacts that lie one after another; None where they do not, or cannot be."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What a database knows of an artifact without reading it.

    Attributes:
        size: In bytes.
        put: When it was last stored or asked to be, UTC.
    """

    size: int
    put: datetime


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something wrong that was found in a database.

    Attributes:
        where: A file, a document (``runs.ID``) or an artifact (``artifact DIGEST``).
        what: What is wrong, in words for a person.
        affects: What cannot be read or trusted because of it, in words.
        is_repaired: Whether it was mended.
    """

    where: str
    what: str
    affects: str = ""
    is_repaired: bool = False


class Hooks(ABC):
    """What a backend does; people use the verbs of a DBInterface, built on these."""

    patience_s: float = 60.0
    """How long a run waits for this database when it is out of reach, in seconds."""

    @property
    @abstractmethod
    def url(self) -> str:
        """What ``ptutils.connect`` takes to open this database."""

    @abstractmethod
    def _insert(self, collection: str, documents: Sequence[Document]) -> None:
        """Store plain documents, all or none; a taken ``_id`` is a DatabaseError."""

    @abstractmethod
    def _find(
        self,
        collection: str,
        filter: Document,
        *,
        sort: Sequence[tuple[str, int]] = (),
        limit: int = 0,
        skip: int = 0,
        projection: Document | Sequence[str] | None = None,
    ) -> list[Document]:
        """Return fresh plain documents, in order of insertion if no sort is given."""

    @abstractmethod
    def _count(self, collection: str, filter: Document) -> int:
        """Return how many documents the filter finds."""

    @abstractmethod
    def _update(
        self,
        collection: str,
        filter: Document,
        update: Document,
        *,
        many: bool = False,
        upsert: bool = False,
    ) -> int:
        """Change one or all found, atomically: a filter makes it a compare-and-set."""

    @abstractmethod
    def _delete(self, collection: str, filter: Document) -> int:
        """Delete all found and return how many there were."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[None]:
        """All or nothing, durable at exit, re-entrant within a thread."""

    @abstractmethod
    def _collections(self) -> list[str]:
        """Return the names of the collections that hold a document, sorted."""

    @abstractmethod
    def _put(self, artifacts: Sequence[Buffer]) -> list[str]:
        """Store bytes by content and return their blake3 digests; durable on return.

        The moment is kept with each of them, also where the bytes were there already.
        """

    @abstractmethod
    def _get(self, digest: str) -> memoryview:
        """Return the bytes with this digest, verified."""

    def _private(self, digests: Collection[str]) -> View | None:
        """Return what maps some of these artifacts for one reader, or None.

        What it returns can be written to, which nobody else sees, and is unverified; it
        stays valid whatever becomes of the artifact. What cannot be mapped is read by
        :meth:`_get`.
        """
        return None

    @abstractmethod
    def _stored(self, digests: Iterable[str] | None = None) -> dict[str, Stored]:
        """Return size and last ``_put`` of the digests, or of all, that are here.

        It reads no artifact.
        """

    @abstractmethod
    def _drop(self, digests: Iterable[str], before: datetime) -> int:
        """Forget those artifacts that were last put before a moment.

        Returns:
            How many bytes no longer take room.
        """

    def _inspect(self, *, repair: bool = False) -> Iterator[Fault]:
        """Yield what is wrong below the documents: files, indexes, packs.

        Args:
            repair: Mend what can be mended without losing a whole document.
        """
        yield from ()

    def _readable(self, collection: str) -> Iterator[Document]:
        """Yield all documents but those that :meth:`_inspect` tells are unreadable."""
        found = self._find(collection, {}, projection={"_id": 1})
        ids = [document["_id"] for document in found]
        for start in range(0, len(ids), _PAGE):
            page = {"_id": {"$in": ids[start : start + _PAGE]}}
            yield from self._find(collection, page)

    def _put_aside(self, digests: Iterable[str]) -> list[str]:
        """Forget artifacts that cannot be read: they are stored when they come again.

        What can still be read beside them stays; what is left of their bytes is kept
        for a person.

        Returns:
            Where that is.
        """
        self._drop(digests, now() + timedelta(seconds=1))
        return []

    @abstractmethod
    def _close(self) -> None:
        """Let go of files and connections."""

    def _one(self, collection: str, filter: Document) -> Document:
        """Return the first plain document found.

        Raises:
            NotFoundError: If there is none.
        """
        found = self._find(collection, filter, limit=1)
        if not found:
            raise NotFoundError(
                f"found no document in {collection!r}",
                path=self.url,
                expected=f"one that matches {filter!r:.200}",
                got=f"{self._count(collection, {})} documents, none of which does",
            )
        return found[0]
