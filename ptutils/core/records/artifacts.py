"""The artifacts of a document: inline, or in the artifact store, whole or in slices.

The field ``artifacts`` is a flat list of bytes and digests, in order. A storage over 64
MiB is stored as several of them, its slices, so that one of which little changed is
stored for little. The field ``slices`` then tells how many items make each storage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ptutils.errors import CorruptError
from ptutils.meta.codec import Buffer
from ptutils.meta.codec.slices import SLICE_BYTES, slices
from ptutils.meta.values import Document

__all__ = ["Group", "Kept", "Storages", "groups_of", "stored_artifacts"]

Group: TypeAlias = Sequence[bytes | str]
"""The items that make one storage: one, or its slices in order."""

_INLINE_BYTES = 1024


@dataclass(frozen=True, kw_only=True)
class Kept:
    """An artifact that lies in the database already.

    Attributes:
        digests: Of its slices.
    """

    digests: tuple[str, ...]


def stored_artifacts(
    artifacts: Sequence[Buffer | Kept],
    put: Callable[[Sequence[Buffer]], list[str]],
    inline_bytes: int = _INLINE_BYTES,
) -> Document:
    """Return the fields that tell each artifact as bytes, or as digests of its slices.

    Args:
        artifacts: One-dimensional bytes, or where they lie.
        put: Stores all of the large ones at once and returns their digests.
        inline_bytes: Up to which size an artifact stays bytes.
    """
    cut = [_large(item, inline_bytes) for item in artifacts]
    large = [piece for pieces in cut for piece in pieces]
    digests = iter(put(large) if large else [])
    groups: list[Group] = []
    for item, pieces in zip(artifacts, cut, strict=True):
        if isinstance(item, Kept):
            groups.append(list(item.digests))
        else:
            groups.append([next(digests) for _ in pieces] or [bytes(item)])
    fields: Document = {"artifacts": [item for group in groups for item in group]}
    if len(fields["artifacts"]) > len(groups):
        fields["slices"] = list(map(len, groups))
    return fields


def _large(item: Buffer | Kept, inline_bytes: int) -> list[memoryview]:
    """Return the slices that are to be stored."""
    if isinstance(item, Kept) or len(item) <= inline_bytes:
        return []
    return slices(item)


def groups_of(fields: Document, owner: str) -> list[Group]:
    """Return the items of each storage.

    Args:
        fields: What :func:`stored_artifacts` returned.
        owner: What they are of, for the error.

    Raises:
        CorruptError: If the counts of slices do not fit.
    """
    items: list[bytes | str] = fields["artifacts"]
    counts = fields.get("slices")
    if counts is None:
        return [[item] for item in items]
    is_sound = type(counts) is list and all(
        type(count) is int and count > 0 for count in counts
    )
    if not is_sound or sum(counts) != len(items):
        raise CorruptError(
            f"cannot read {owner}",
            expected=f"counts of slices that add up to {len(items)} artifacts",
            got=f"{counts!r:.60}",
            fix="restore it from a copy",
        )
    rest = iter(items)
    return [[next(rest) for _ in range(count)] for count in counts]


class Storages(Sequence[Buffer]):
    """The bytes of each storage, read when they are needed, once.

    Args:
        groups: The items of each.
        get: Returns an artifact by its digest.
    """

    def __init__(self, groups: Sequence[Group], get: Callable[[str], Buffer]) -> None:
        self._groups = groups
        self._get = get
        self._read: dict[int, Buffer] = {}

    def __getitem__(self, index: Any) -> Any:
        found = self._read.get(index)
        if found is None:
            group = self._groups[index]
            is_inline = len(group) == 1 and type(group[0]) is bytes
            found = self._read[index] = group[0] if is_inline else self._joined(group)
        return found

    def __len__(self) -> int:
        return len(self._groups)

    def _joined(self, group: Group) -> Buffer:
        first, *others = group
        content = self._item(first)
        if not others:
            return content
        whole = bytearray(_slice(content))
        for item in others[:-1]:
            whole += _slice(self._item(item))
        whole += self._item(others[-1])
        return memoryview(whole)

    def _item(self, item: bytes | str) -> Buffer:
        return self._get(item) if isinstance(item, str) else item


def _slice(content: Buffer) -> Buffer:
    """Refuse a slice of another size, so that no few digests stand for many bytes."""
    if len(content) != SLICE_BYTES:
        raise CorruptError(
            "cannot read a tensor in slices",
            expected=f"slices of {SLICE_BYTES} bytes, but for the last",
            got=f"one of {len(content)}",
            fix="restore this document from a copy",
        )
    return content
