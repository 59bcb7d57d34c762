"""OrderedDict, with the attributes that torch hangs on the state dicts of nets."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from typing import Any

from ptutils.meta.codec.containers import decode_into, encode_items
from ptutils.meta.codec.decode import Decoder, decode
from ptutils.meta.codec.encode import Encoder, encode
from ptutils.meta.codec.encoded import Encoded
from ptutils.meta.codec.table import Entry, Node, enter
from ptutils.meta.values import Value

__all__: list[str] = []


def _encode_ordered(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    document, node = encode_items(encoder, value.items(), "OrderedDict")
    if value.__dict__:  # torch notes versions of layers on the state dicts of nets.
        node["attributes"] = list(_encode_attributes(encoder, value))
    return document, node


def _encode_attributes(encoder: Encoder, value: Value) -> tuple[Value, str]:
    versions = _versions(value.__dict__)
    if versions is not None:
        return _encode_versions(versions)
    inner = encode(value.__dict__, path=encoder.where())
    if inner.artifacts:
        encoder.refuse(
            "cannot store the attributes of an OrderedDict",
            expected="no arrays, tensors or long bytes in them",
            got=", ".join(value.__dict__),
        )
    return inner.document, inner.types


def _versions(attributes: dict[str, Value]) -> tuple[tuple[str, int], ...] | None:
    """Return the versions of a net's layers, if the attributes are nothing else."""
    told = attributes.get("_metadata")
    if len(attributes) != 1 or type(told) is not OrderedDict or told.__dict__:
        return None
    pairs = []
    for name, about in told.items():
        version = about.get("version") if type(about) is dict else None
        if type(name) is not str or type(version) is not int or len(about) != 1:
            return None
        pairs.append((name, version))
    return tuple(pairs)


@lru_cache(64)
def _encode_versions(versions: tuple[tuple[str, int], ...]) -> tuple[Value, str]:
    told = OrderedDict((name, {"version": version}) for name, version in versions)
    encoded = encode({"_metadata": told})
    return encoded.document, encoded.types


def _decode_ordered(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    value = decode_into(decoder, plain, node, OrderedDict())
    if "attributes" in node:
        pair = decoder.expect(node["attributes"], list)
        if len(pair) != 2 or type(pair[0]) is not dict or type(pair[1]) is not str:
            decoder.refuse("attributes and their types", pair)
        value.__dict__.update(decode(Encoded(document=pair[0], types=pair[1])))
    return value


enter(
    Entry(
        tag="OrderedDict",
        encode=_encode_ordered,
        decode=_decode_ordered,
        is_shared=True,
    ),
    OrderedDict,
)
