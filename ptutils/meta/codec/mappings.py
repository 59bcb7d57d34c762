"""The dict classes of ptutils itself, State and Config."""

from __future__ import annotations

from typing import Any

from ptutils.meta.codec.containers import decode_items, encode_items
from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.table import Entry, Node, enter
from ptutils.meta.values import Value

__all__ = ["register_mapping"]


def register_mapping(kind: type[dict[Any, Any]], *, nested: bool = False) -> None:
    """Make a dict subclass of ptutils storable; its constructor must need no argument.

    Args:
        kind: The class; its name is the tag in the sidecar.
        nested: Whether dicts directly inside it are of the same class, so that a tree
            of them costs one entry in the sidecar, not one per dict.
    """
    tag = kind.__name__

    def encode(encoder: Encoder, value: Value) -> tuple[Value, Node]:
        document, node = encode_items(encoder, dict.items(value), tag)
        if nested:
            for name, item in zip(document, dict.values(value), strict=True):
                _imply(node, name, item)
        return document, node

    def _imply(node: dict[str, Any], name: str, item: Value) -> None:
        inner = node.setdefault("in", {})
        below = inner.get(name)
        if type(item) is dict and below is None:
            inner[name] = "dict"
        elif type(item) is dict and "is" not in below:
            below["is"] = "dict"
        elif type(item) is kind and below["is"] == tag:
            del below["is"]
            if not below:
                del inner[name]
        if not inner:
            del node["in"]

    def decode(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
        if nested:
            node = {**node, "in": _implied(plain, node.get("in"))}
        value = kind()
        decoder.introduce(node, value)
        for key, item in decode_items(decoder, plain, node):
            dict.__setitem__(value, key, item)
        return value

    def _implied(plain: Value, inner: Value) -> Value:
        if type(plain) is not dict or not isinstance(inner, (dict, type(None))):
            return inner  # decode_items says what is wrong with it.
        inner = dict(inner or {})
        for name, item in plain.items():
            below = inner.get(name)
            if type(item) is dict and below is None:
                inner[name] = tag
            elif type(item) is dict and isinstance(below, dict) and "is" not in below:
                inner[name] = {**below, "is": tag}
        return inner

    enter(Entry(tag=tag, encode=encode, decode=decode, is_shared=True), kind)
