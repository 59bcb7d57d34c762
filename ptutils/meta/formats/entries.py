"""Entries: how artifacts appear in a safetensors file that any tool can read.

A storage that one contiguous tensor or array fills appears under the tensor's path,
with its dtype and sizes; other storages are bytes, named ``_ptutils.<number>``.

Source:
    The layout: https://huggingface.co/docs/safetensors, section Format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ptutils.meta.codec import loads
from ptutils.meta.codec.plain import is_plain_text
from ptutils.meta.values import Value

__all__ = ["Entry", "entries_of", "header_of"]

_DTYPES: Final = {
    "bool": ("BOOL", 1), "uint8": ("U8", 1), "int8": ("I8", 1),
    "uint16": ("U16", 2), "int16": ("I16", 2), "uint32": ("U32", 4),
    "int32": ("I32", 4), "uint64": ("U64", 8), "int64": ("I64", 8),
    "float16": ("F16", 2), "bfloat16": ("BF16", 2), "float32": ("F32", 4),
    "float64": ("F64", 8), "complex64": ("C64", 8),
    "float8_e4m3fn": ("F8_E4M3", 1), "float8_e5m2": ("F8_E5M2", 1),
}  # fmt: skip
_DENSE: Final = frozenset({"torch.Tensor", "torch.nn.Parameter", "numpy.ndarray"})
_SPECIAL: Final = frozenset({"strides", "offset", "dtype"})
"""What a node tells of a tensor that does not simply fill its storage."""
_RESERVED: Final = ("_ptutils.", "__metadata__")


@dataclass(frozen=True)
class Entry:
    """One tensor of a file.

    Attributes:
        name: Its path, or ``_ptutils.<number>``.
        dtype: As safetensors calls it.
        shape: Its sizes.
        width: Bytes per element.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    width: int

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * self.width


def entries_of(document: Value, types: str, sizes: Sequence[int]) -> list[Entry]:
    """Return how each artifact of an encoded value appears in a file.

    Args:
        document: The plain form.
        types: The sidecar.
        sizes: Of the artifacts, in bytes.
    """
    natural: dict[int, Entry] = {}
    names: set[str] = set()
    for number, entry in _natural(document, _tree(types), ()):
        is_whole = 0 <= number < len(sizes) and entry.size == sizes[number]
        is_free = number not in natural and entry.name not in names
        if is_whole and is_free and not entry.name.startswith(_RESERVED):
            natural[number] = entry
            names.add(entry.name)
    return [
        natural.get(number, Entry(f"_ptutils.{number}", "U8", (size,), 1))
        for number, size in enumerate(sizes)
    ]


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
            "dtype": entry.dtype,
            "shape": list(entry.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    return len(text).to_bytes(8, "little") + text, order


def _tree(types: str) -> Value:
    return loads(types)["tree"] if types else None


def _natural(
    document: Value, node: Value, path: tuple[str, ...]
) -> Iterator[tuple[int, Entry]]:
    """Yield the tensors below a node that seem to fill their artifact."""
    if not isinstance(node, dict):
        return
    if node.get("is") in _DENSE:
        name, _, sizes = document.rstrip("]").partition("[")
        if "at" in node and name in _DTYPES and not node.keys() & _SPECIAL:
            shape = tuple(int(size) for size in sizes.split(", ") if size)
            dtype, width = _DTYPES[name]
            yield node["at"], Entry(".".join(path) or "tensor", dtype, shape, width)
        return
    for key, below in node.get("in", {}).items():
        held = document[int(key)] if isinstance(document, list) else document[key]
        yield from _natural(held, below, (*path, _shown(key, node.get("keys"))))


def _shown(key: str, keys: Value) -> str:
    """Return a key as the program knows it, where that is a text."""
    original = keys.get(key, key) if isinstance(keys, dict) else key
    is_text = isinstance(original, str) and is_plain_text(original)
    return str(original) if is_text and original else key
