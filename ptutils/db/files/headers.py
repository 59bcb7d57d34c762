"""Headers: what a safetensors file of a folder says that it holds, and where.

The header of a checkpoint's file tells under ``ptutils`` the digest of each tensor, or
of its slices; in a pack the names are the digests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ptutils.db.mapping import MISSING, unreadable
from ptutils.errors import CorruptError
from ptutils.meta.codec.slices import SLICE_BYTES
from ptutils.meta.values import Document

__all__ = ["Held", "entries_in", "is_digest", "metadata_of"]

_METADATA: Final = "ptutils"
_DIGITS: Final = frozenset("0123456789abcdef")
_LONGEST_HEADER: Final = 1 << 28


@dataclass(frozen=True, kw_only=True)
class Held:
    """An artifact in a file.

    Attributes:
        digest: Its address.
        offset: Where it begins.
        size: In bytes.
        is_inline: Whether it belongs to a checkpoint's document, and is no artifact.
    """

    digest: str
    offset: int
    size: int
    is_inline: bool = False


def metadata_of(told: Sequence[Document]) -> dict[str, str]:
    """Return what the header of a checkpoint's file tells of its tensors.

    That is the digest of each, or a list of those of its slices.
    """
    slices: dict[str, list[str]] = {}
    for each in told:
        slices.setdefault(each["tensor"], []).append(each["blake3"])
    digests = {name: d if len(d) > 1 else d[0] for name, d in slices.items()}
    inline = [each["tensor"] for each in told if each.get("inline")]
    return {_METADATA: json.dumps({"blake3": digests, "inline": inline})}


def entries_in(path: Path) -> list[Held]:
    """Return what the header of a file says that it holds.

    Raises:
        CorruptError: If it is no whole safetensors file.
        DatabaseError: If it cannot be read now.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(size - 8, _LONGEST_HEADER):
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            return _entries(json.loads(file.read(length)), 8 + length, size)
    except (*MISSING, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptError(
            "cannot read the tensors",
            path=str(path),
            expected="a whole safetensors file",
            got=str(error),
            fix="restore it from a copy",
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error


def is_digest(value: object) -> bool:
    """Return whether this could be the address of an artifact."""
    return isinstance(value, str) and len(value) == 64 and _DIGITS.issuperset(value)


def _entries(header: dict[str, Any], start: int, size: int) -> list[Held]:
    metadata = json.loads(header.pop("__metadata__", {}).get(_METADATA, "{}"))
    digests, inline = metadata.get("blake3", {}), set(metadata.get("inline", ()))
    found = []
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        if not 0 <= first <= last <= size - start:
            raise ValueError(
                f"{name!r} past the end, at {last} of {size - start} bytes"
            )
        told = digests.get(name, name)
        pieces = told if isinstance(told, list) else [told]
        for digest, place in zip(
            pieces, _cut(start + first, start + last, len(pieces)), strict=True
        ):
            if is_digest(digest):
                found.append(Held(digest=digest, is_inline=name in inline, **place))
    # Of one content twice, the one that is an artifact is the one to know.
    return sorted(found, key=lambda held: not held.is_inline)


def _cut(first: int, last: int, count: int) -> list[dict[str, int]]:
    """Return where each of so many slices lies."""
    starts = range(first, last, SLICE_BYTES) if count > 1 else [first]
    if len(starts) != count:
        raise ValueError(f"{count} slices of {last - first} bytes")
    size = SLICE_BYTES if count > 1 else last - first
    return [{"offset": at, "size": min(size, last - at)} for at in starts]
