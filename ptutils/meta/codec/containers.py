"""The containers of Python and its collections: a list or a dict in the document."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.keys import is_plain_key, plain_key
from ptutils.meta.codec.plain import dumps
from ptutils.meta.codec.table import Entry, Node, enter
from ptutils.meta.values import Value

__all__ = [
    "decode_elements",
    "decode_into",
    "decode_items",
    "encode_elements",
    "encode_frozen",
    "encode_items",
]

_FACTORIES: Final[dict[str, Any]] = {
    kind.__name__: kind for kind in (bool, dict, float, int, list, set, str, tuple)
}
_PARTS: Final = 3
_LOWEST: Final = -(2**63)
_THEMSELVES: Final = frozenset({type(None), bool, float})
"""Types whose values stand for themselves in a document; so do ints of 64 bits."""


def encode_elements(
    encoder: Encoder, values: Iterable[Value], tag: str
) -> tuple[list[Value], dict[str, Any]]:
    """Encode values one after another as a list."""
    values = list(values)
    if _are_numbers(values):
        encoder.count(len(values))
        return values, _node(tag, {})
    document: list[Value] = []
    inner: dict[str, Any] = {}
    path = encoder.path
    for index, item in enumerate(values):
        path.append(index)
        plain, node = encoder.value(item)
        path.pop()
        document.append(plain)
        if node is not None:
            inner[str(index)] = node
    return document, _node(tag, inner)


def decode_elements(
    decoder: Decoder, plain: Value, node: dict[str, Any]
) -> Iterator[Value]:
    """Yield the values of a list."""
    decoder.expect(plain, list)
    inner = decoder.expect(node.get("in", {}), dict)
    if inner and not inner.keys() <= {str(index) for index in range(len(plain))}:
        decoder.refuse("positions inside the list", list(inner))
    for index, item in enumerate(plain):
        yield decoder.child(index, item, inner.get(str(index)) if inner else None)


def encode_items(
    encoder: Encoder, items: Iterable[tuple[Value, Value]], tag: str
) -> tuple[dict[str, Value], dict[str, Any]]:
    """Encode pairs as a dict; keys that are not plain are escaped and kept."""
    document: dict[str, Value] = {}
    inner: dict[str, Any] = {}
    keys: dict[str, Value] = {}
    path, num_plain = encoder.path, 0
    for key, item in items:
        name = key
        if not is_plain_key(key) or key in document:
            name = plain_key(key, document)
            path.append(name)
            keys[name] = _encode_key(encoder, key)
            path.pop()
        kind = type(item)
        if (kind is int and _LOWEST <= item < -_LOWEST) or kind in _THEMSELVES:
            document[name] = item
            num_plain += 1
            continue
        path.append(name)
        plain, node = encoder.value(item)
        path.pop()
        document[name] = plain
        if node is not None:
            inner[name] = node
    encoder.count(num_plain)
    node = _node(tag, inner)
    if keys:
        node["keys"] = "int" if _are_numbered(document, keys) else keys
    return document, node


def decode_items(
    decoder: Decoder, plain: Value, node: dict[str, Any]
) -> Iterator[tuple[Value, Value]]:
    """Yield the pairs of a dict, with the original keys."""
    decoder.expect(plain, dict)
    inner = decoder.expect(node.get("in", {}), dict)
    keys = node.get("keys", {})
    if keys != "int":
        decoder.expect(keys, dict)
    known = set()
    for name, item in plain.items():
        if not is_plain_key(name):
            decoder.refuse("a plain key", name)
        key = name
        if keys:
            if keys == "int" or name in keys:
                key = _decode_key(decoder, name, keys)
                if key in known:
                    decoder.refuse("each key once", name)
            known.add(key)
        yield key, decoder.child(name, item, inner.get(name))


def encode_frozen(
    encoder: Encoder, value: Value, encode: Callable[[], tuple[Value, dict[str, Any]]]
) -> tuple[Value, Node]:
    """Encode what must be complete before it exists, and so cannot contain itself."""
    if id(value) in encoder.open:
        encoder.refuse(
            "cannot store a cycle",
            expected="cycles through lists and dicts only",
            got=f"a {type(value).__name__} that contains itself",
        )
    encoder.open.add(id(value))
    document, node = encode()
    encoder.open.discard(id(value))
    return document, _short(node)


def _are_numbers(values: list[Value]) -> bool:
    """Tell quickly whether all are numbers that stand for themselves."""
    kinds = set(map(type, values))
    return kinds == {float} or (
        kinds == {int} and min(values) >= _LOWEST and max(values) < -_LOWEST
    )


def _node(tag: str, inner: dict[str, Any]) -> dict[str, Any]:
    node: dict[str, Any] = {"is": tag} if tag else {}
    if inner:
        node["in"] = inner
    return node


def _short(node: dict[str, Any]) -> Node:
    if len(node) == 1 and "is" in node:
        return str(node["is"])
    return node or None


# Keys: a plain scalar stands for itself, anything else is [plain form, node].


def _encode_key(encoder: Encoder, key: Value) -> Value:
    if type(key) is str and key.isascii() and "\0" not in key:
        return key
    plain, node = encoder.isolated(key)
    return plain if node is None else [plain, node]


def _are_numbered(document: dict[str, Value], keys: dict[str, Value]) -> bool:
    return len(keys) == len(document) and all(
        type(key) is int and name == str(key) for name, key in keys.items()
    )


def _decode_key(decoder: Decoder, name: str, keys: Value) -> Value:
    if keys == "int":
        try:
            number = int(name)
        except ValueError as error:
            decoder.refuse("an int as key", name, error)
        return number if str(number) == name else decoder.refuse("an int as key", name)
    key = keys[name]
    plain, node = key if type(key) is list and len(key) == 2 else (key, None)
    value = decoder.child(name, plain, node)
    try:
        hash(value)
    except TypeError as error:
        decoder.refuse("a key that can be hashed", plain, error)
    return value


# Lists and dicts


def _encode_list(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    document, node = encode_elements(encoder, value, "")
    return document, node or None


def _decode_list(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    value: list[Value] = []
    decoder.introduce(node, value)
    value.extend(decode_elements(decoder, plain, node))
    return value


def _encode_dict(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    document, node = encode_items(encoder, value.items(), "")
    return document, node or None


def decode_into(
    decoder: Decoder, plain: Value, node: dict[str, Any], value: Value
) -> Value:
    """Fill an empty mapping, which others may refer to already, and return it."""
    decoder.introduce(node, value)
    for key, item in decode_items(decoder, plain, node):
        value[key] = item
    return value


def _decode_dict(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    return decode_into(decoder, plain, node, {})


def _encode_counter(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    if value.__dict__:
        encoder.refuse(
            "cannot store a Counter with attributes", got=", ".join(value.__dict__)
        )
    return encode_items(encoder, value.items(), "Counter")


def _decode_counter(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    return decode_into(decoder, plain, node, Counter())


def _encode_defaultdict(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    factory = value.default_factory
    name = getattr(factory, "__name__", "")
    if factory is not None and _FACTORIES.get(name) is not factory:
        encoder.refuse(
            "cannot store a defaultdict with this factory",
            expected=", ".join(_FACTORIES),
            got=repr(factory),
            fix="convert it to a dict",
        )
    document, node = encode_items(encoder, value.items(), "defaultdict")
    if factory is not None:
        node["factory"] = name
    return document, node


def _decode_defaultdict(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    name = node.get("factory")
    if name is not None and (type(name) is not str or name not in _FACTORIES):
        decoder.refuse(", ".join(_FACTORIES), name)
    factory = None if name is None else _FACTORIES[name]
    return decode_into(decoder, plain, node, defaultdict(factory))


def _encode_deque(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    document, node = encode_elements(encoder, value, "deque")
    if value.maxlen is not None:
        node["maxlen"] = value.maxlen
    return document, node


def _decode_deque(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    maxlen = node.get("maxlen")
    decoder.expect(plain, list)
    if maxlen is not None and (type(maxlen) is not int or maxlen < len(plain)):
        decoder.refuse("a maxlen that the elements fit into", maxlen)
    value: deque[Value] = deque(maxlen=maxlen)
    decoder.introduce(node, value)
    value.extend(decode_elements(decoder, plain, node))
    return value


# Tuples, ranges, slices and sets


def _encode_tuple(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    return encode_frozen(
        encoder, value, lambda: encode_elements(encoder, value, "tuple")
    )


def _decode_tuple(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    return tuple(decode_elements(decoder, plain, node))


def _encode_parts(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    parts = (value.start, value.stop, value.step)
    tag = type(value).__name__
    return encode_frozen(encoder, value, lambda: encode_elements(encoder, parts, tag))


def _decode_range(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    parts = list(decode_elements(decoder, plain, node))
    if [type(part) for part in parts] != [int] * _PARTS or not parts[2]:
        decoder.refuse("start, stop and a step that is not 0", plain)
    return range(*parts)


def _decode_slice(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    parts = list(decode_elements(decoder, plain, node))
    return slice(*parts) if len(parts) == _PARTS else decoder.refuse("3 parts", plain)


def _encode_set(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    # A set has no order of its own: sorting by text makes equal sets equal documents.
    pairs = [encoder.isolated(item) for item in value]
    pairs.sort(key=lambda pair: (dumps(pair[0]), dumps(pair[1])))
    inner = {str(i): node for i, (_, node) in enumerate(pairs) if node is not None}
    return [plain for plain, _ in pairs], _short(_node(type(value).__name__, inner))


def _decode_members(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    members = list(decode_elements(decoder, plain, node))
    try:
        distinct = frozenset(members)
    except TypeError as error:
        decoder.refuse("members that can be hashed", plain, error)
    if len(distinct) != len(members):
        decoder.refuse("each member once", plain)
    return distinct


def _decode_set(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    return set(_decode_members(decoder, plain, node))


_SHARED: tuple[tuple[type[Any], Any, Any], ...] = (
    (list, _encode_list, _decode_list),
    (dict, _encode_dict, _decode_dict),
    (Counter, _encode_counter, _decode_counter),
    (defaultdict, _encode_defaultdict, _decode_defaultdict),
    (deque, _encode_deque, _decode_deque),
    (set, _encode_set, _decode_set),
)
_FIXED: tuple[tuple[type[Any], Any, Any], ...] = (
    (tuple, _encode_tuple, _decode_tuple),
    (range, _encode_parts, _decode_range),
    (slice, _encode_parts, _decode_slice),
    (frozenset, _encode_set, _decode_members),
)
for _kind, _write, _read in _SHARED:
    enter(Entry(tag=_kind.__name__, encode=_write, decode=_read, is_shared=True), _kind)
for _kind, _write, _read in _FIXED:
    enter(Entry(tag=_kind.__name__, encode=_write, decode=_read), _kind)
