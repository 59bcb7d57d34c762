"""Encoding: one walk over a value writes its document, sidecar and artifacts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final, NoReturn

from ptutils.errors import EncodeError
from ptutils.meta.codec.encoded import Buffer, Encoded
from ptutils.meta.codec.plain import dumps
from ptutils.meta.codec.storages import Storage
from ptutils.meta.codec.table import ENTRY_BY_TYPE, Entry, Node, find_type
from ptutils.meta.values import Value

__all__ = ["FORMAT", "MAX_DEPTH", "Encoder", "encode", "survey"]

FORMAT: Final = 1
"""The version of the sidecar's format."""

MAX_DEPTH: Final = 200
"""How many containers may lie inside each other."""

_REPEATED: Final = 1000
"""A container that appears again is written out again in the document, where people
look for it, if it holds no more values than this; sharing cannot make it explode."""


def encode(value: Value, *, path: str = "", foreign: Entry | None = None) -> Encoded:
    """Write a value down as document, sidecar and artifacts.

    Args:
        value: Anything of the types that ``docs/document-format.md`` lists.
        path: Where the value is, for errors.
        foreign: How to store objects of all other types; refused if None.

    Raises:
        EncodeError: If a part cannot be stored exactly; it names the path.

    Example:
        >>> encode({"betas": (0.9, 0.999)})  # doctest: +NORMALIZE_WHITESPACE
        Encoded(document={'betas': [0.9, 0.999]},
            types='{"format":1,"tree":{"in":{"betas":"tuple"}}}', artifacts=())
    """
    return survey(value, path=path, foreign=foreign)[0]


def survey(
    value: Value, *, path: str = "", foreign: Entry | None = None
) -> tuple[Encoded, list[Storage]]:
    """Encode a value, and tell of each artifact which memory it is.

    Args:
        value: As for :func:`encode`.
        path: Likewise.
        foreign: Likewise.

    Returns:
        What :func:`encode` returns, and the storages behind its artifacts in order.

    Raises:
        EncodeError: As :func:`encode`.
    """
    encoder = Encoder(path, foreign=foreign)
    document, tree = encoder.value(value)
    tree = encoder.marked(tree)
    storages = list(encoder.storages.values())
    artifacts = tuple(storage.finish() for storage in storages)
    for wait in encoder.waits.values():  # pragma: no cover - needs a GPU
        wait()
    types = "" if tree is None else dumps({"format": FORMAT, "tree": tree})
    return Encoded(document=document, types=types, artifacts=artifacts), storages


@dataclasses.dataclass(slots=True)
class _Seen:
    """A value that may be reached again; held, so that its id stays its own."""

    value: Value
    path: tuple[str | int, ...]
    document: Value = None
    size: int = _REPEATED + 1


class Encoder:
    """The state of one walk.

    Args:
        prefix: The path of the root, for errors.
        is_isolated: Whether the root is inside a set or a key, where an object cannot
            keep its identity.
        foreign: How to store objects of types that the table lacks.
    """

    __slots__ = (
        "_count",
        "_foreign",
        "_prefix",
        "_seen",
        "_targets",
        "is_isolated",
        "open",
        "path",
        "storages",
        "waits",
    )

    def __init__(
        self,
        prefix: str = "",
        *,
        is_isolated: bool = False,
        foreign: Entry | None = None,
    ) -> None:
        self.path: list[str | int] = []
        self.open: set[int] = set()
        self.storages: dict[object, Storage] = {}
        self.waits: dict[object, Callable[[], object]] = {}
        """By device: to be called before the bytes that were asked of it are read."""
        self._prefix = prefix
        self._foreign = foreign
        self.is_isolated = is_isolated
        self._count = 0
        self._seen: dict[int, _Seen] = {}
        self._targets: dict[tuple[str | int, ...], int] = {}

    def value(self, value: Value) -> tuple[Value, Node]:
        """Return the plain form and the node of a value at the current path."""
        kind = type(value)
        self._count += 1
        if (
            kind is float
            or value is None
            or kind is bool
            or (kind is int and -(2**63) <= value < 2**63)
            or (kind is str and value.isascii() and "\0" not in value)
        ):
            return value, None
        entry = ENTRY_BY_TYPE.get(kind) or find_type(kind) or self._foreign
        if entry is None:
            self._refuse_type(value)
        if len(self.path) > MAX_DEPTH:
            self.refuse(
                "cannot store this value",
                expected=f"at most {MAX_DEPTH} containers inside each other",
                got="more, or a cycle without end",
            )
        if entry.is_shared:
            return self._shared(entry, value)
        return entry.encode(self, value)

    def count(self, values: int) -> None:
        """Note that so many values were encoded that stand for themselves."""
        self._count += values

    def isolated(self, value: Value) -> tuple[Value, Node]:
        """Encode a key or an element of a set, which cannot share with the rest."""
        return Encoder(self.where(), is_isolated=True).value(value)

    def storage(self, key: object, cut: Callable[[int, int], Buffer]) -> Storage:
        """Return the storage known by ``key``; ``cut`` returns a span of its bytes."""
        storage = self.storages.get(key)
        if storage is None:
            storage = self.storages[key] = Storage(len(self.storages), key, cut)
        return storage

    def keep(self, node: dict[str, Any], content: Buffer) -> None:
        """Make bytes an artifact of their own, which ``node`` refers to."""
        storage = self.storage(object(), lambda low, high: content)
        storage.touch(node, low=0, high=len(content), start=0, unit=1)

    def where(self) -> str:
        """Return the current path for errors, prefix included."""
        parts = [self._prefix, *map(str, self.path)]
        return ".".join(part for part in parts if part)

    def refuse(
        self, what: str, *, expected: str = "", got: str = "", fix: str = ""
    ) -> NoReturn:
        """Raise an EncodeError at the current path."""
        raise EncodeError(what, path=self.where(), expected=expected, got=got, fix=fix)

    def marked(self, tree: Node) -> Node:
        """Return the tree with an ``id`` on each value that others refer to."""
        for path, number in self._targets.items():
            tree = node = _as_dict(tree)
            for key in path:
                inner = node.setdefault("in", {})
                node = inner[str(key)] = _as_dict(inner.get(str(key)))
            node["id"] = number
        return tree

    def _shared(self, entry: Entry, value: Value) -> tuple[Value, Node]:
        seen = self._seen.get(id(value))
        if seen is not None:
            return self._again(seen)
        if self.is_isolated:
            self.refuse(
                "cannot store an object inside a set or a key",
                expected="a value that equals its copy and cannot change",
                got=type(value).__qualname__,
                fix="hold it in a list, or as a value of a dict",
            )
        seen = self._seen[id(value)] = _Seen(value, tuple(self.path))
        start = self._count
        document, node = entry.encode(self, value)
        seen.document, seen.size = document, self._count - start
        return document, node

    def _again(self, seen: _Seen) -> tuple[Value, Node]:
        number = self._targets.setdefault(seen.path, len(self._targets))
        is_small = seen.size <= _REPEATED
        self._count += seen.size if is_small else 0
        return seen.document if is_small else None, {"is": "ref", "to": number}

    def _refuse_type(self, value: Value) -> NoReturn:
        kind = type(value)
        name = f"{kind.__module__}.{kind.__qualname__}"
        base = next((base for base in kind.__mro__ if base in ENTRY_BY_TYPE), None)
        fix = "convert it to a type that docs/document-format.md lists"
        if base is not None:
            fix = f"convert it to {base.__name__}; subclasses of it are not stored"
        self.refuse("cannot store this value", got=name, fix=fix)


def _as_dict(node: Node) -> dict[str, Any]:
    if isinstance(node, dict):
        return node
    return {} if node is None else {"is": node}
