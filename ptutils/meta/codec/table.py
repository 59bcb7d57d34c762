"""The table of the codec: which types it stores, and which tags it reads.

The table is closed: it is filled by the codec's own files, never from data. Those for
numpy and torch are loaded when one of their types or tags is first met.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any, TypeAlias

from ptutils.meta.values import Value

__all__ = [
    "ENTRY_BY_TAG",
    "ENTRY_BY_TYPE",
    "FINDERS",
    "Entry",
    "Node",
    "enter",
    "find_tag",
    "find_type",
]

Node: TypeAlias = str | dict[str, Any] | None
"""What the sidecar says of one value: nothing, a tag, or a tag with particulars."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """How values of one type are stored.

    Attributes:
        tag: Its name in the sidecar; ``""`` for those that need none.
        encode: From the encoder and a value to its plain form and its node.
        decode: From the decoder, a plain form and a node to the value.
        is_shared: Whether a value that is reached twice must come back as one object.
    """

    tag: str
    encode: Callable[[Any, Value], tuple[Value, Node]]
    decode: Callable[[Any, Value, dict[str, Any]], Value]
    is_shared: bool = False


ENTRY_BY_TYPE: dict[type[Any], Entry] = {}
ENTRY_BY_TAG: dict[str, Entry] = {}
FINDERS: list[Callable[[type[Any]], Entry | None]] = []
"""Asked in turn for types that the table lacks, such as registered classes."""

_LAZY = {
    "numpy": ("ptutils.meta.codec.arrays", "ptutils.meta.codec.array_scalars"),
    "torch": ("ptutils.meta.codec.tensors", "ptutils.meta.codec.torch_values"),
}


def enter(entry: Entry, *kinds: type[Any]) -> None:
    """Add an entry to the table, for its tag and for exactly these types."""
    ENTRY_BY_TAG[entry.tag] = entry
    for kind in kinds:
        ENTRY_BY_TYPE[kind] = entry


def find_type(kind: type[Any]) -> Entry | None:
    """Return the entry for exactly this type, loading numpy's or torch's if need be."""
    _load(kind.__module__)
    entry = ENTRY_BY_TYPE.get(kind)
    return entry or next((found for find in FINDERS if (found := find(kind))), None)


def find_tag(tag: str) -> Entry | None:
    """Return the entry for a tag, loading numpy's or torch's if need be."""
    _load(tag)
    return ENTRY_BY_TAG.get(tag)


def _load(dotted: str) -> None:
    for module in _LAZY.get(dotted.partition(".")[0], ()):
        importlib.import_module(module)
