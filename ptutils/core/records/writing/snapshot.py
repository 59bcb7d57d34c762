"""Snapshots: the State of a moment in memory of its own, while training goes on.

What is written down later must not change meanwhile: everything that aliases live
arrays and tensors is copied, into a buffer that is used again and again. What is known
to stay as it is for a while may be copied a little later, on another thread. What is as
it was when it was last stored is not copied at all.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np
from xxhash import xxh3_128_digest

from ptutils.core.records.artifacts import Group, Kept
from ptutils.core.records.writing.known import Known
from ptutils.meta.codec import Buffer, Encoded
from ptutils.meta.codec.encode import survey
from ptutils.meta.codec.storages import Storage
from ptutils.meta.values import Value

__all__ = ["Snapshot", "Snapshots"]

_SMALL_BYTES: Final = 1 << 20
"""Up to this size a copy is cheaper than to look for a buffer."""

_ALIGNMENT: Final = 64


_Copy: TypeAlias = tuple[Storage, Buffer, Any]


class Snapshot:
    """An encoded State whose bytes are its own, once it is complete.

    Args:
        encoded: The State.
        memory: What its bytes are in, if that is to be used again.
        storages: Behind its artifacts.
        kept: Its artifacts by position that were stored before; they have no bytes.
        late: Storages that are still to be copied: from where, to where.
        proof: Likewise such that were copied, though they could have been late.

    Attributes:
        encoded: The State.
        storages: Behind its artifacts, in order.
        kept: Artifacts, by position, that were stored before and have no bytes here.
        size_bytes: Of its artifacts.
        is_spoiled: Whether something was changed before it was copied.
    """

    def __init__(
        self,
        encoded: Encoded,
        memory: Any = None,
        *,
        storages: Sequence[Storage] = (),
        kept: Mapping[int, Kept] | None = None,
        late: Sequence[_Copy] = (),
        proof: Sequence[_Copy] = (),
    ) -> None:
        self.encoded = encoded
        self.storages = storages
        self.kept = kept or {}
        self.size_bytes = sum(map(len, encoded.artifacts))
        self.is_spoiled = False
        self._memory = memory
        self._late = late
        self._proof = proof
        self._copying = threading.Lock()

    def complete(self) -> None:
        """Copy what is still to be copied, or wait for the thread that does it."""
        with self._copying:
            late, self._late = self._late, ()
            for _, source, target in late:
                # numpy lets other threads run meanwhile.
                np.copyto(target, np.frombuffer(source, dtype=np.uint8))
            if any(storage.has_changed for storage, _, _ in late):
                self.is_spoiled = True


class Snapshots:
    """Takes snapshots, and uses the memory of old ones again."""

    def __init__(self) -> None:
        self._free: Any = None
        self._known = Known()
        self._trusts: bool | None = None  # None: it is still to be seen.

    def take(self, state: Value, late: Collection[object] = ()) -> Snapshot:
        """Return a snapshot of a value; it stays as it is, whatever is changed.

        Args:
            state: The value.
            late: The keys of storages that are not changed before :meth:`settle` is
                called. Whether that is so is looked at the first time.

        Raises:
            EncodeError: If a part of it cannot be stored exactly.
        """
        encoded, storages = survey(state)
        artifacts = list(encoded.artifacts)
        if sum(map(len, artifacts)) <= _SMALL_BYTES:
            return Snapshot(replace(encoded, artifacts=tuple(map(bytes, artifacts))))
        kept = self._known.find(storages, artifacts)
        for at in kept:
            artifacts[at] = b""
        memory = self._memory(sum(map(_room, artifacts)))
        rest: list[_Copy] = []
        end = 0
        for at, (storage, artifact) in enumerate(zip(storages, artifacts, strict=True)):
            target = memory[end : end + len(artifact)]
            end += _room(artifact)
            may_wait = storage.version is not None and storage.key in late
            if may_wait and at not in kept:
                rest.append((storage, artifact, target))
            if not (may_wait and self._trusts):
                memoryview(target)[:] = artifact
            artifacts[at] = memoryview(target).toreadonly()
        return Snapshot(
            replace(encoded, artifacts=artifacts),
            memory,
            storages=storages,
            kept=kept,
            late=rest if self._trusts else (),
            proof=rest if self._trusts is None else (),
        )

    def learn(self, snapshot: Snapshot, groups: Sequence[Group]) -> None:
        """Note where a snapshot lies in the databases now.

        Args:
            snapshot: One that is stored.
            groups: The items that make each of its artifacts there.
        """
        self._known = self._known.after(
            snapshot.storages, snapshot.encoded.artifacts, groups
        )

    def forget(self) -> None:
        """Count on nothing that was stored before."""
        self._known = Known()

    def settle(self, snapshot: Snapshot) -> None:
        """Complete a snapshot before what may have been late is changed."""
        snapshot.complete()
        proof, snapshot._proof = snapshot._proof, ()
        if proof:
            self._trusts = all(
                xxh3_128_digest(source) == xxh3_128_digest(target)
                for _, source, target in proof
            )

    def distrust(self) -> None:
        """Copy everything at once from now on."""
        self._trusts = False

    def reuse(self, snapshot: Snapshot) -> None:
        """Take the memory of a snapshot back: nobody looks at it any more."""
        if snapshot._memory is not None:
            self._free = snapshot._memory

    def _memory(self, size: int) -> Any:
        """Return a buffer of some size, hardly larger."""
        free, self._free = self._free, None
        if free is not None and size <= len(free) <= 2 * size:
            return free
        del free  # Before there is another one.
        return np.empty(size, dtype=np.uint8)


def _room(artifact: Buffer) -> int:
    return -(-len(artifact) // _ALIGNMENT) * _ALIGNMENT
