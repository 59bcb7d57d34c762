"""The header of a safetensors file: what lies where, and texts beside it.

Source:
    The layout: https://huggingface.co/docs/safetensors, section Format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ptutils.meta.formats.entries import Entry

__all__ = ["header_of"]

_CODES: Final = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16",
    "uint32": "U32", "int32": "I32", "uint64": "U64", "int64": "I64",
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
    "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip


def header_of(
    entries: Sequence[Entry], metadata: Mapping[str, str]
) -> tuple[bytes, list[int]]:
    """Return the beginning of a file, and in which order the contents follow it."""
    # Wide elements first, so that every tensor is aligned to its element.
    order = sorted(range(len(entries)), key=lambda number: -entries[number].width)
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    position = 0
    for entry in (entries[number] for number in order):
        end = position + entry.size
        header[entry.name] = {
            "dtype": _CODES[entry.dtype],
            "shape": list(entry.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    return len(text).to_bytes(8, "little") + text, order
