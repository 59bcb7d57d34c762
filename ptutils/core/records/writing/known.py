"""Known: which memory is as it was when it was last stored, found without storing it.

torch counts the changes of a tensor, but not those made past it (``tensor.data``). So
what has the count that it had is compared with a hash of 128 bits of what was stored,
which costs less than to copy it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xxhash import xxh3_128_digest

from ptutils.core.records.artifacts import Group, Kept
from ptutils.meta.codec import Buffer
from ptutils.meta.codec.storages import Storage

__all__ = ["Known"]


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """What was stored of one storage.

    Attributes:
        version: How often it had been changed.
        size: In bytes.
        digest: A quick one; empty while it is being changed again and again.
        place: Where it lies.
    """

    version: int
    size: int
    digest: bytes
    place: Kept


class Known:
    """What was stored, by the keys of storages.

    Args:
        stored: Of each.
    """

    def __init__(self, stored: Mapping[object, _Stored] | None = None) -> None:
        self._stored = stored or {}

    def find(
        self, storages: Sequence[Storage], artifacts: Sequence[Buffer]
    ) -> dict[int, Kept]:
        """Return where those lie that are as they were, by position."""
        return {
            at: stored.place
            for at, (storage, artifact) in enumerate(
                zip(storages, artifacts, strict=True)
            )
            if (stored := self._stored.get(storage.key)) is not None
            and stored.version == storage.version
            and stored.size == len(artifact)
            and stored.digest == xxh3_128_digest(artifact)
        }

    def after(
        self,
        storages: Sequence[Storage],
        artifacts: Sequence[Buffer],
        groups: Sequence[Group],
    ) -> Known:
        """Return what is known once some more are stored.

        Args:
            storages: They.
            artifacts: Their bytes, as they were stored; none where nothing had changed.
            groups: The items that make each of them in the databases.
        """
        stored: dict[object, _Stored] = {}
        for storage, artifact, group in zip(storages, artifacts, groups, strict=True):
            digests = tuple(item for item in group if isinstance(item, str))
            before = self._stored.get(storage.key)
            if storage.version is None or len(digests) < len(group):
                continue  # Nobody counts, or it is in the document itself.
            if before is not None and not len(artifact):
                stored[storage.key] = before
                continue
            is_steady = before is None or before.version == storage.version
            stored[storage.key] = _Stored(
                version=storage.version,
                size=len(artifact),
                digest=xxh3_128_digest(artifact) if is_steady else b"",
                place=Kept(digests=digests),
            )
        return Known(stored)
