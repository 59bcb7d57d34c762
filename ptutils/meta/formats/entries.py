"""Entries: how artifacts appear in a file that other tools read too.

A storage that one contiguous tensor or array fills appears under the tensor's path,
with its dtype and sizes; other storages are bytes, named ``_ptutils.<number>``.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ptutils.meta.codec import loads
from ptutils.meta.codec.plain import is_plain_text
from ptutils.meta.codec.table import Node
from ptutils.meta.values import Value

__all__ = ["WIDTHS", "Entry", "Names", "entries_of", "scalars_of"]

WIDTHS: Final = {
    "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4,
    "uint64": 8, "int64": 8, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8,
    "complex64": 8, "complex128": 16, "float8_e4m3fn": 1, "float8_e5m2": 1,
}  # fmt: skip
"""The bytes of an element, for the dtypes that numpy and others know."""

COMMON: Final = WIDTHS.keys() - {"complex128"}
"""The dtypes that every format of tensors has."""

_DENSE: Final = frozenset({"torch.Tensor", "torch.nn.Parameter", "numpy.ndarray"})
_SPECIAL: Final = frozenset({"strides", "offset", "dtype"})
"""What a node tells of a tensor that does not simply fill its storage."""
_RESERVED: Final = "_ptutils"
_MOST_MEMBERS: Final = 200
_LONGEST: Final = 1000


@dataclass(frozen=True)
class Entry:
    """One tensor of a file.

    Attributes:
        name: As the file spells its path, or ``_ptutils.<number>``.
        dtype: As the codec calls it.
        shape: Its sizes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        """Bytes per element."""
        return WIDTHS[self.dtype]

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * self.width


class Names:
    """The names that a file can still give: dotted paths, each once.

    Args:
        longest: How many bytes of UTF-8 a name may have.
    """

    def __init__(self, longest: int = 2**31) -> None:
        self._longest = longest
        self._taken: set[str] = {"__metadata__"}

    def claim(self, path: tuple[str, ...]) -> str | None:
        """Return the name for a path, if the file can give it one."""
        name = ".".join(path) or "tensor"
        if name in self._taken or name.startswith(_RESERVED):
            return None
        if len(name.encode()) > self._longest:
            return None
        self._taken.add(name)
        return name


def entries_of(
    document: Value,
    types: str,
    sizes: Sequence[int],
    *,
    names: Names | None = None,
    dtypes: Container[str] = COMMON,
) -> list[Entry]:
    """Return how each artifact of an encoded value appears in a file.

    Args:
        document: The plain form.
        types: The sidecar.
        sizes: Of the artifacts, in bytes.
        names: Those that the file can give; dotted paths if None.
        dtypes: Those that the file can hold, as the codec calls them.
    """
    names = names or Names()
    natural: dict[int, Entry] = {}
    for number, path, dtype, shape in _natural(document, _tree(types), ()):
        size = math.prod(shape) * WIDTHS[dtype]
        is_whole = 0 <= number < len(sizes) and size == sizes[number]
        is_free = number not in natural and dtype in dtypes
        if is_whole and is_free and (name := names.claim(path)):
            natural[number] = Entry(name, dtype, shape)
    return [
        natural.get(number, Entry(f"{_RESERVED}.{number}", "uint8", (size,)))
        for number, size in enumerate(sizes)
    ]


def scalars_of(document: Value, types: str) -> Iterator[tuple[tuple[str, ...], Value]]:
    """Yield what other tools can read besides arrays: numbers and texts by path.

    A list of nothing but ints, floats or booleans is one value. Texts of more than
    1000 characters and the members of containers with more than 200 are passed over.

    Args:
        document: The plain form.
        types: The sidecar.
    """
    if isinstance(document, (dict, list)):
        yield from _scalars(document, _tree(types), ())


def _tree(types: str) -> Node:
    tree: Node = loads(types)["tree"] if types else None
    return tree


def _natural(
    document: Value, node: Node, path: tuple[str, ...]
) -> Iterator[tuple[int, tuple[str, ...], str, tuple[int, ...]]]:
    """Yield the tensors below a node that seem to fill their artifact."""
    if not isinstance(node, dict):
        return
    if node.get("is") in _DENSE:
        dtype, _, sizes = document.rstrip("]").partition("[")
        if "at" in node and dtype in WIDTHS and not node.keys() & _SPECIAL:
            shape = tuple(int(size) for size in sizes.split(", ") if size)
            yield node["at"], path, dtype, shape
        return
    for key, below in node.get("in", {}).items():
        held = document[int(key)] if isinstance(document, list) else document[key]
        yield from _natural(held, below, (*path, _shown(key, node.get("keys"))))


def _scalars(
    document: Value, node: Node, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Value]]:
    told = node if isinstance(node, dict) else {}
    if told.get("is") in _DENSE or told.get("is") == "ref":
        return
    if not isinstance(document, (dict, list)):
        if _is_readable(document):
            yield path, document
    elif _is_column(document):
        yield path, document
    elif len(document) <= _MOST_MEMBERS:
        members = document if isinstance(document, dict) else dict(enumerate(document))
        for key, held in members.items():
            below = told.get("in", {}).get(str(key))
            here = (*path, _shown(str(key), told.get("keys")))
            yield from _scalars(held, below, here)


def _is_readable(plain: Value) -> bool:
    if isinstance(plain, str):
        return len(plain) <= _LONGEST
    return isinstance(plain, (bool, int, float))


def _is_column(document: Value) -> bool:
    kinds = {type(item) for item in document}
    is_uniform = len(kinds) == 1 and kinds <= {bool, int, float}
    return isinstance(document, list) and is_uniform and len(document) <= _LONGEST


def _shown(key: str, keys: Value) -> str:
    """Return a key as the program knows it, where that is a text."""
    original = keys.get(key, key) if isinstance(keys, dict) else key
    is_text = isinstance(original, str) and is_plain_text(original)
    return str(original) if is_text and original else key
