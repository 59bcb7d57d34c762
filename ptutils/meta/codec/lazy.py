"""Decoding bit by bit: what has bytes is left unread until somebody asks for it.

A dict of ptutils, such as a State, is decoded at once, and so is all that has no bytes.
Any other value in it is decoded as a whole when it is first asked for, but single parts
of a dict or list can be had before. However it is reached, what was one object is one
object, and what looked at one memory looks at one memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from ptutils.meta.codec.containers import decode_elements, decode_items
from ptutils.meta.codec.decode import Decoder, tree_of
from ptutils.meta.codec.encoded import Encoded
from ptutils.meta.codec.table import Node
from ptutils.meta.unread import Unread
from ptutils.meta.values import Value

__all__ = ["LazyDecoder", "decode_lazily"]

_OPEN: Final = ("dict", "OrderedDict", "list", "tuple")
"""Tags of values whose parts can be had without the rest."""


def decode_lazily(encoded: Encoded, tag: str, *, device: str | None = "cpu") -> Value:
    """Decode a dict of ptutils; leave unread in it what has bytes.

    Args:
        encoded: As :func:`encode` returned it; a plain dict is taken for one of ours.
        tag: Of the class, whose dicts are nested.
        device: Where to put tensors, as for :func:`decode`.

    Raises:
        DecodeError: If what is decoded now is damaged, or is no such dict.
    """
    node = tree_of(encoded.types)
    if node is None or (isinstance(node, dict) and "is" not in node):
        node = {**(node or {}), "is": tag}
    return LazyDecoder(encoded, tag, device).open(encoded.document, node)


class LazyDecoder(Decoder):
    """The state of a walk that is interrupted again and again, by any thread.

    Args:
        encoded: What is read.
        tag: Of the class whose dicts are decoded at once.
        device: Where to put tensors, or None.
    """

    __slots__ = (
        "_introduced",
        "_is_opening",
        "_is_postponing",
        "_lock",
        "_owner_by_id",
        "_tag",
        "_unread",
    )

    def __init__(self, encoded: Encoded, tag: str, device: str | None) -> None:
        super().__init__(encoded.artifacts, device)
        self._tag = tag
        self._lock = threading.RLock()
        self._is_opening = True
        self._is_postponing = True
        self._introduced: list[int] = []
        self._unread: dict[tuple[str | int, ...], Unread] = {}
        self._owner_by_id: dict[int, Unread] = {}

    def open(self, plain: Value, node: Node) -> Value:
        """Decode all that has no bytes."""
        if not isinstance(node, dict) or node.get("is") != self._tag:
            self.refuse(f"a {self._tag}", node)
        value = self.value(plain, node)
        self._is_opening = False
        return value

    def child(self, key: str | int, plain: Value, node: Node) -> Value:
        """Return the value one step below, as it was read before, or left unread."""
        if self._is_opening and node is None:
            return super().child(key, plain, node)  # It has no bytes.
        if self._is_postponing:
            if self._is_to_wait(plain, node):
                return self._postponed((*self.path, key), plain, _told(node))
        else:
            known = self._unread.get((*self.path, key))
            # A cycle leads to what is being read.
            if known is not None and not known.is_open and _is_it(known, plain, node):
                return self.read(known)
        return super().child(key, plain, node)

    def introduce(self, node: dict[str, Any], value: Value) -> None:
        """Make a value known to those that refer to it, until reading fails."""
        super().introduce(node, value)
        if "id" in node:
            self._introduced.append(node["id"])

    def read(self, unread: Unread) -> Value:
        """Decode a value, once.

        Raises:
            PtutilsError: If it is damaged; it may be tried again.
        """
        with self._lock:
            if not unread.is_read:
                walk = partial(self.value, unread.plain, unread.node)
                unread.held = self._walked(unread, walk, is_postponing=False)
                unread.is_read = True
            return unread.held

    def parts(self, unread: Unread) -> Value:
        """Return a value's parts, unread; or the value, if it is one or to be whole."""
        with self._lock:
            if unread.is_read:
                return unread.held
            if unread.node.get("is") == "ref":
                return self._parts_of_other(unread)
            if type(unread.plain) not in (dict, list):
                return None  # It is described by a text, as tensors are.
            if unread.node.get("is", "list") not in _OPEN:
                return self.read(unread)
            if unread.held is None:
                walk = partial(self._opened, unread.plain, unread.node)
                unread.held = self._walked(unread, walk, is_postponing=True)
            return unread.held

    def _opened(self, plain: Value, node: dict[str, Any]) -> Value:
        if type(plain) is dict:
            return dict(decode_items(self, plain, node))
        return list(decode_elements(self, plain, node))

    def _parts_of_other(self, reference: Unread) -> Value:
        number: Any = reference.node.get("to")
        if not self._is_owned(number):
            return self.read(reference)
        owner = self._narrowed(number)
        is_it = owner.node.get("id") == number
        return self.parts(owner) if is_it else self.read(reference)

    def _walked(
        self, unread: Unread, walk: Callable[[], Value], *, is_postponing: bool
    ) -> Value:
        if unread.is_open:
            self.refuse("a value that does not need itself", unread.plain)
        before = self.path, self._is_postponing
        mark = len(self._introduced)
        self.path, self._is_postponing = list(unread.path), is_postponing
        unread.is_open = True
        try:
            return walk()
        except BaseException:
            for number in self._introduced[mark:]:
                self._by_id.pop(number, None)
            raise
        finally:
            unread.is_open = False
            self.path, self._is_postponing = before
            del self._introduced[mark:]

    def _postponed(
        self, path: tuple[str | int, ...], plain: Value, node: dict[str, Any]
    ) -> Unread:
        unread = self._unread[path] = Unread(self, path, plain, node)
        if "id" in node or "in" in node:
            for number in _ids(node):
                self._owner_by_id[number] = unread
        return unread

    def _is_to_wait(self, plain: Value, node: Node) -> bool:
        """Return whether a value is to be left unread.

        That is one with bytes; among the parts of a value, which are decoded once more
        when it is read as a whole, all that must then be the same objects.
        """
        if self._is_opening:
            is_walked = isinstance(node, dict) and node.get("is") == self._tag
            return not is_walked and self._has_bytes(node)
        return node is not None or type(plain) in (dict, list)

    def _has_bytes(self, node: Node) -> bool:
        if not isinstance(node, dict):
            return False
        if "at" in node or (node.get("is") == "ref" and self._is_owned(node.get("to"))):
            return True
        inner = node.get("in")
        return isinstance(inner, dict) and any(map(self._has_bytes, inner.values()))

    def _is_owned(self, number: Value) -> bool:
        is_number = type(number) is int
        return is_number and number in self._owner_by_id and number not in self._by_id

    def _referred(self, node: dict[str, Any]) -> Value:
        number: Any = node.get("to")
        if self._is_owned(number):
            self._bring(number)
        return super()._referred(node)

    def _bring(self, number: int) -> None:
        """Read the value with an id, and no more around it than must be."""
        owner = self._narrowed(number)
        value = self.read(owner)
        if owner.node.get("id") == number:
            self._by_id.setdefault(number, value)

    def _narrowed(self, number: int) -> Unread:
        """Return what is unread with an id, or the least around it."""
        owner = self._owner_by_id[number]
        while owner.node.get("id") != number:
            self.parts(owner)
            if self._owner_by_id[number] is owner:
                break
            owner = self._owner_by_id[number]
        return owner


def _told(node: Node) -> dict[str, Any]:
    return node if isinstance(node, dict) else {"is": node} if node else {}


def _is_it(unread: Unread, plain: Value, node: Node) -> bool:
    """Return whether this is the value that is unread, not the key it stands under."""
    return unread.plain is plain and unread.node == _told(node)


def _ids(node: Node) -> Iterator[int]:
    """Yield the ids of a value and of all below it."""
    if not isinstance(node, dict):
        return
    if type(node.get("id")) is int:
        yield node["id"]
    inner = node.get("in")
    for below in inner.values() if isinstance(inner, dict) else ():
        yield from _ids(below)
