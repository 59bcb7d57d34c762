"""Decoding: one walk over document and sidecar together brings the value back.

Nothing that the data names is imported or called: a tag is looked up in a closed
table, a class among those that the running program has registered.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from ptutils.errors import CorruptError, DecodeError, NotFoundError, nearest
from ptutils.meta.codec.encode import FORMAT, MAX_DEPTH
from ptutils.meta.codec.encoded import Buffer, Encoded
from ptutils.meta.codec.keys import is_plain_key, shown_path
from ptutils.meta.codec.plain import is_plain_text, loads_canonical
from ptutils.meta.codec.table import ENTRY_BY_TAG, Entry, Node, find_tag
from ptutils.meta.values import Value

__all__ = ["Decoder", "decode", "tree_of"]

_EXACT: Final = frozenset({type(None), bool, float, bytes})


def decode(
    encoded: Encoded, *, device: str | None = "cpu", foreign: Entry | None = None
) -> Value:
    """Bring back what :func:`encode` took.

    Arrays and tensors are writable and own their memory, one block per storage. An
    artifact that can be written is taken for that memory, any other is copied.

    Args:
        encoded: As :func:`encode` returned it. Names that the document lacks are
            passed over, so that a projection of a document decodes too.
        device: Where to put tensors; None for where they were. Meta tensors stay.
        foreign: How to read what it wrote when encoding; refused if None.

    Raises:
        DecodeError: If the data is damaged, names what is not known here, or asks for
            memory that it does not bring.
    """
    decoder = Decoder(encoded.artifacts, device, foreign)
    return decoder.value(encoded.document, tree_of(encoded.types))


def tree_of(types: str) -> Node:
    """Return the node of the root, from the text of a sidecar.

    Raises:
        DecodeError: If it is not of this format.
    """
    if not types:
        return None
    sidecar = loads_canonical(types)
    if not isinstance(sidecar, dict) or set(sidecar) != {"format", "tree"}:
        raise DecodeError(
            "cannot read the sidecar",
            expected="format and tree",
            got=f"{sidecar!r:.60}",
        )
    if sidecar["format"] != FORMAT:
        raise DecodeError(
            "cannot read the sidecar",
            expected=f"format {FORMAT}",
            got=f"format {sidecar['format']!r:.20}",
            fix="read it with the version of ptutils that wrote it",
        )
    tree: Node = sidecar["tree"]
    return tree


class Decoder:
    """The state of one walk.

    Args:
        artifacts: The bytes that nodes refer to.
        device: Where to put tensors, or None.
        foreign: The entry of a tag that the table lacks.
    """

    __slots__ = ("_artifacts", "_by_id", "_foreign", "device", "path", "storages")

    def __init__(
        self,
        artifacts: Sequence[Buffer],
        device: str | None,
        foreign: Entry | None = None,
    ) -> None:
        self.path: list[str | int] = []
        self.device = device
        self.storages: dict[object, Any] = {}
        self._artifacts = artifacts
        self._by_id: dict[int, Value] = {}
        self._foreign = foreign

    def value(self, plain: Value, node: Node) -> Value:
        """Return the value that a plain form and a node stand for."""
        if node is None:
            return self._plain(plain)
        if isinstance(node, str):
            node = {"is": node}
        elif not isinstance(node, dict):
            self.refuse("a node of the sidecar", node)
        tag = node.get("is", "dict" if type(plain) is dict else "list")
        if tag == "ref":
            return self._referred(node)
        value = self._entry(tag).decode(self, plain, node)
        if "id" in node:
            self.introduce(node, value)
        return value

    def child(self, key: str | int, plain: Value, node: Node) -> Value:
        """Return the value one step below."""
        if node is None and _is_plain_scalar(plain):
            return plain
        self.path.append(key)
        value = self.value(plain, node)
        self.path.pop()
        return value

    def introduce(self, node: dict[str, Any], value: Value) -> None:
        """Make a value known to those that refer to it; before its children, if any."""
        number = node.get("id")
        if number is None:
            return
        if (
            type(number) is not int
            or self._by_id.setdefault(number, value) is not value
        ):
            self.refuse("an id that is used once", number)

    def artifact(self, node: dict[str, Any]) -> Buffer:
        """Return the bytes that a node refers to by ``at``."""
        number = self.artifact_number(node)
        try:
            return self._artifacts[number]
        except (CorruptError, NotFoundError) as error:
            raise type(error)(
                f"cannot read {shown_path(self.path)!r}: {error.what}",
                path=error.path,
                expected=error.expected,
                got=error.got,
                fix=error.fix,
            ) from error

    def artifact_number(self, node: dict[str, Any]) -> int:
        """Return the position of the artifact that a node refers to."""
        number = node.get("at")
        if type(number) is not int or not 0 <= number < len(self._artifacts):
            self.refuse(f"one of {len(self._artifacts)} artifacts", number)
        return number

    def expect(self, value: Value, *kinds: type[Any]) -> Value:
        """Return ``value`` if it is of exactly one of these types."""
        if type(value) not in kinds:
            self.refuse(" or ".join(kind.__name__ for kind in kinds), value)
        return value

    def refuse(
        self, expected: str, got: Value, error: Exception | None = None, fix: str = ""
    ) -> NoReturn:
        """Raise a DecodeError at the current path."""
        raise DecodeError(
            "cannot read this value",
            path=shown_path(self.path),
            expected=expected,
            got=f"{type(got).__name__}: {got!r:.60}",
            fix=fix,
        ) from error

    def _entry(self, tag: Value) -> Entry:
        if not isinstance(tag, str):
            self.refuse("a tag", tag)
        entry = ENTRY_BY_TAG.get(tag) or find_tag(tag)
        if self._foreign is not None and tag == self._foreign.tag:
            entry = self._foreign
        if entry is None:
            near = nearest(tag, ENTRY_BY_TAG)
            fix = f"did you mean {near!r}?" if near else ""
            self.refuse("a tag that ptutils knows", tag, fix=fix)
        if len(self.path) > MAX_DEPTH:
            self.refuse(f"at most {MAX_DEPTH} containers inside each other", tag)
        return entry

    def _referred(self, node: dict[str, Any]) -> Value:
        number = node.get("to")
        if type(number) is not int or number not in self._by_id:
            self.refuse("the id of a value that comes before", number)
        return self._by_id[number]

    def _plain(self, plain: Value) -> Value:
        kind = type(plain)
        if kind is not list and kind is not dict:
            return (
                plain
                if _is_plain_scalar(plain)
                else self.refuse("a plain value", plain)
            )
        if len(self.path) > MAX_DEPTH:
            self.refuse(f"at most {MAX_DEPTH} containers inside each other", plain)
        if kind is list:
            return [self.child(i, item, None) for i, item in enumerate(plain)]
        for key in plain:
            if not is_plain_key(key):
                self.refuse("a plain key", key)
        return {key: self.child(key, item, None) for key, item in plain.items()}


def _is_plain_scalar(value: Value) -> bool:
    kind = type(value)
    if kind is str:
        return is_plain_text(value)
    if kind is int:
        return bool(-(2**63) <= value < 2**63)
    if kind is datetime:
        return value.tzinfo is UTC and not (value.microsecond % 1000 or value.fold)
    return kind in _EXACT
