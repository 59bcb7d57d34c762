"""How artifacts lie in a pack: a safetensors file, wherever it is kept.

Its tensors are named by their digests, have dtype U8 and begin at multiples of 64
bytes, so that any tool can read it and memory can be mapped. Where bytes must be
skipped to get there, a tensor called ``pad.N`` fills the gap.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Final

from ptutils.meta.codec import Buffer

__all__ = ["layout"]

_ALIGNMENT: Final = 64


def layout(artifacts: Mapping[str, Buffer]) -> tuple[bytes, dict[str, int]]:
    """Return a pack's header, and where in the file each artifact begins, in order.

    Args:
        artifacts: By digest.
    """
    # In the order given, in which they will be read: slices of one tensor are one span.
    spans: dict[str, tuple[int, int]] = {}
    end = 0
    for number, digest in enumerate(artifacts):
        gap = -end % _ALIGNMENT
        if gap:
            spans[f"pad.{number}"] = (end, end + gap)
            end += gap
        spans[digest] = (end, end + len(artifacts[digest]))
        end = spans[digest][1]
    text = json.dumps(
        {
            name: {
                "dtype": "U8",
                "shape": [stop - start],
                "data_offsets": [start, stop],
            }
            for name, (start, stop) in spans.items()
        },
        separators=(",", ":"),
    ).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)
    header = struct.pack("<Q", len(text)) + text
    return header, {digest: len(header) + spans[digest][0] for digest in artifacts}
