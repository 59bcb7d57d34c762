"""How artifacts lie in a pack: a safetensors file, wherever it is kept.

Its tensors are named by their digests, have dtype U8 and begin at multiples of 64
bytes, so that any tool can read it and memory can be mapped. Where bytes must be
skipped to get there, a tensor called ``pad.N`` fills the gap.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from ptutils.meta.codec import Buffer

__all__ = ["Layout", "is_file_name", "layout"]

_ALIGNMENT: Final = 64
_LONGEST_NAME: Final = 255


@lru_cache(maxsize=64)
def is_file_name(text: str) -> bool:
    """Return whether a file in a folder can have this name: no path, not too long."""
    return (
        text not in (".", "..")
        and Path(text).name == text
        and len(os.fsencode(text)) <= _LONGEST_NAME
    )


class Layout:
    """A pack whose artifacts come one after the other, after room for its header.

    Args:
        most: All that may come, by names as long as digests.

    Attributes:
        room: How many bytes the header has.
    """

    def __init__(self, most: Mapping[str, Buffer]) -> None:
        self.room = 0
        self._spans: dict[str, tuple[int, int]] = {}
        self._end = 0
        for digest, artifact in most.items():
            self.add(digest, len(artifact))
        self.room = len(self.header())
        self._spans, self._end = {}, 0

    def add(self, digest: str, size: int) -> int:
        """Put an artifact at the end; return how many bytes to skip before it."""
        gap = -self._end % _ALIGNMENT
        if gap:
            pad = f"pad.{len(self._spans)}"
            self._spans[pad] = (self._end, self._end + gap)
            self._end += gap
        self._spans[digest] = (self._end, self._end + size)
        self._end += size
        return gap

    def header(self) -> bytes:
        """Return the header of what came."""
        text = json.dumps(
            {
                name: {
                    "dtype": "U8",
                    "shape": [stop - start],
                    "data_offsets": [start, stop],
                }
                for name, (start, stop) in self._spans.items()
            },
            separators=(",", ":"),
        ).encode()
        size = max(self.room, -(-(len(text) + 8) // _ALIGNMENT) * _ALIGNMENT)
        return struct.pack("<Q", size - 8) + text.ljust(size - 8)

    def places(self) -> dict[str, tuple[int, int]]:
        """Return where in the file each artifact begins, and its size."""
        return {
            name: (self.room + start, stop - start)
            for name, (start, stop) in self._spans.items()
            if not name.startswith("pad.")
        }


def layout(artifacts: Mapping[str, Buffer]) -> tuple[bytes, dict[str, int]]:
    """Return a pack's header, and where in the file each artifact begins, in order.

    Args:
        artifacts: By digest.
    """
    whole = Layout(artifacts)
    for digest, artifact in artifacts.items():
        whole.add(digest, len(artifact))
    offsets = {digest: offset for digest, (offset, _) in whole.places().items()}
    return whole.header(), offsets
