"""The dict classes of ptutils itself, State and Config."""

from __future__ import annotations

import functools
from typing import Any

from ptutils.meta.codec.containers import decode_items, encode_items
from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.table import Entry, Node, enter
from ptutils.meta.values import Document, Value

__all__ = ["register_mapping"]


def register_mapping(kind: type[dict[Any, Any]], *, nested: bool = False) -> None:
    """Make a dict subclass of ptutils storable; its constructor must need no argument.

    Args:
        kind: The class; its name is the tag in the sidecar.
        nested: Whether dicts directly inside it are of the same class, so that a tree
            of them costs one entry in the sidecar, not one per dict.
    """
    encode = functools.partial(_encode, kind, nested)
    decode = functools.partial(_decode, kind, nested)
    tag = kind.__name__
    enter(Entry(tag=tag, encode=encode, decode=decode, is_shared=True), kind)


def _encode(
    kind: type[dict[Any, Any]], nested: bool, encoder: Encoder, value: Value
) -> tuple[Value, Node]:
    document, node = encode_items(encoder, dict.items(value), kind.__name__)
    if nested:
        inner = node.setdefault("in", {})
        for name, item in zip(document, dict.values(value), strict=True):
            below = _without_class(kind, item, inner.pop(name, None))
            if below:
                inner[name] = below
        if not inner:
            del node["in"]
    return document, node


def _without_class(kind: type[dict[Any, Any]], item: Value, node: Node) -> Node:
    """Return a node that takes the class of the dict around it for granted."""
    if type(item) is dict:
        return {"is": "dict", **(node or {})}  # type: ignore[dict-item]
    if type(item) is kind and isinstance(node, dict) and node["is"] == kind.__name__:
        return {key: told for key, told in node.items() if key != "is"}
    return node


def _decode(
    kind: type[dict[Any, Any]],
    nested: bool,
    decoder: Decoder,
    plain: Value,
    node: Document,
) -> Value:
    value = kind()
    decoder.introduce(node, value)
    if nested:
        node = _with_classes(decoder, kind.__name__, plain, node)
    for key, item in decode_items(decoder, plain, node):
        dict.__setitem__(value, key, item)  # The class's own may copy what it is given.
    return value


def _with_classes(decoder: Decoder, tag: str, plain: Value, node: Document) -> Document:
    """Return ``node`` with the class that :func:`_without_class` took for granted."""
    inner = dict(decoder.expect(node.get("in", {}), dict))
    for name, item in decoder.expect(plain, dict).items():
        below = inner.get(name)
        if type(item) is dict and (below is None or isinstance(below, dict)):
            inner[name] = {"is": tag, **(below or {})}
    return {**node, "in": inner}
