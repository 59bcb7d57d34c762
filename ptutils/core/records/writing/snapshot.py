"""Snapshots: the State of a moment in memory of its own, while training goes on.

What is written down later must not change meanwhile: everything that aliases live
arrays and tensors is copied, into a buffer that is used again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from ptutils.meta.codec import Buffer, Encoded, encode
from ptutils.meta.values import Value

__all__ = ["Snapshot", "Snapshots"]

_SMALL_BYTES: Final = 1 << 20
"""Up to this size a copy is cheaper than to look for a buffer."""

_ALIGNMENT: Final = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """An encoded State whose bytes are its own.

    Attributes:
        encoded: The State.
        size_bytes: Of its artifacts.
    """

    encoded: Encoded
    size_bytes: int
    _memory: Any = field(default=None, repr=False)


class Snapshots:
    """Takes snapshots, and uses the memory of old ones again."""

    def __init__(self) -> None:
        self._free: Any = None

    def take(self, state: Value) -> Snapshot:
        """Return a snapshot of a value; it stays as it is, whatever is changed.

        Raises:
            EncodeError: If a part of it cannot be stored exactly.
        """
        encoded = encode(state)
        size = sum(map(len, encoded.artifacts))
        artifacts: Sequence[Buffer]
        if size <= _SMALL_BYTES:
            artifacts, memory = tuple(map(bytes, encoded.artifacts)), None
        else:
            memory = self._memory(sum(map(_room, encoded.artifacts)))
            artifacts = _copied(encoded.artifacts, memory)
        encoded = replace(encoded, artifacts=artifacts)
        return Snapshot(encoded=encoded, size_bytes=size, _memory=memory)

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


def _copied(artifacts: Sequence[Buffer], memory: Any) -> Sequence[Buffer]:
    """Copy bytes one after the other into a buffer; return where each is."""
    whole = memoryview(memory)
    copies: list[Buffer] = []
    end = 0
    for artifact in artifacts:
        copy = whole[end : end + len(artifact)]
        copy[:] = artifact
        copies.append(copy.toreadonly())
        end += _room(artifact)
    return copies
