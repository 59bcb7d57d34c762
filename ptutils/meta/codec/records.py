"""Instances of registered classes: enum members, dataclasses and named tuples.

They are stored by the registered name and by value. Reading makes the instance without
calling the class, and gives it exactly the declared fields.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from ptutils.meta.codec.containers import decode_items, encode_frozen, encode_items
from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.table import FINDERS, Entry, Node, enter
from ptutils.meta.registry import name_of, registered
from ptutils.meta.values import Value

__all__ = ["find_record"]

_BUILTIN_LAYOUTS = (
    BaseException, bytes, complex, dict, float, frozenset, int, list, set, str, tuple
)  # fmt: skip


def find_record(kind: type[Any]) -> Entry | None:
    """Return how instances of a class are stored by value, or None if they are not."""
    if issubclass(kind, enum.Enum):
        entry = _ENUM
    elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
        entry = _NAMEDTUPLE
    elif _is_plain_dataclass(kind):
        is_frozen = kind.__dataclass_params__.frozen
        entry = _FROZEN if is_frozen else _DATACLASS
    else:
        return None
    return _UNREGISTERED if name_of(kind) is None else entry


def _is_plain_dataclass(kind: type[Any]) -> bool:
    return (
        "__dataclass_fields__" in kind.__dict__
        and not issubclass(kind, _BUILTIN_LAYOUTS)
        and not hasattr(kind, "_ptutils_is_module")
    )


def _refuse(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    kind = type(value)
    encoder.refuse(
        "cannot store this value",
        expected="an instance of a registered class",
        got=f"{kind.__module__}.{kind.__qualname__}",
        fix=f"put @ptutils.register on {kind.__name__}, or call register on it",
    )


def _class_of(decoder: Decoder, node: dict[str, Any], test: Entry) -> Any:
    name = node.get("of")
    kind = registered().get(name) if isinstance(name, str) else None
    if not isinstance(kind, type) or find_record(kind) is not test:
        decoder.refuse(
            f"the name of a registered class for {test.tag!r}",
            name,
            fix="import the module that registers it before reading",
        )
    return kind


# Enum members appear as their value where that is a text or an int, else by name.


def _encode_enum(encoder: Encoder, value: enum.Enum) -> tuple[Value, Node]:
    plain, node = encoder.isolated(_shown(value))
    result: dict[str, Any] = {"is": "enum", "of": name_of(type(value))}
    if node is not None:
        result["value"] = node
    return plain, result


def _shown(value: enum.Enum) -> Value:
    if isinstance(value, enum.Flag):
        return int(value.value)
    if isinstance(value, str):
        return str(value.value)
    return int(value.value) if isinstance(value, int) else value.name


def _decode_enum(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    kind = _class_of(decoder, node, _ENUM)
    shown = decoder.value(plain, node.get("value"))
    if issubclass(kind, enum.Flag) and type(shown) is int:
        try:
            return kind(shown)
        except ValueError as error:
            decoder.refuse(f"flags of {kind.__name__}", plain, error)
    for member in kind:
        if _shown(member) == shown and type(_shown(member)) is type(shown):
            return member
    return decoder.refuse(f"a member of {kind.__name__}", plain)


# Named tuples and dataclasses appear as dicts of their fields.


def _encode_fields(
    encoder: Encoder, value: Value, names: list[str], tag: str
) -> tuple[dict[str, Value], dict[str, Any]]:
    missing = [name for name in names if not hasattr(value, name)]
    extra = [name for name in getattr(value, "__dict__", ()) if name not in names]
    if missing or extra:
        encoder.refuse(
            f"cannot store this {type(value).__name__}",
            expected=f"exactly its fields: {', '.join(names)}",
            got=f"without {', '.join(missing)}" if missing else f"also {extra[0]}",
        )
    pairs = [(name, getattr(value, name)) for name in names]
    document, node = encode_items(encoder, pairs, tag)
    node["of"] = name_of(type(value))
    return document, node


def _decode_fields(
    decoder: Decoder, plain: Value, node: dict[str, Any], names: list[str]
) -> dict[str, Value]:
    fields = dict(decode_items(decoder, plain, node))
    if fields.keys() != set(names):
        decoder.refuse(f"the fields {', '.join(names)}", list(fields))
    return fields


def _names(kind: type[Any]) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _encode_dataclass(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    return _encode_fields(encoder, value, _names(type(value)), "dataclass")


def _decode_dataclass(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    kind = _class_of(decoder, node, _DATACLASS)
    value = object.__new__(kind)
    decoder.introduce(node, value)
    return _with_fields(decoder, plain, node, value)


def _encode_frozen(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    names = _names(type(value))
    return encode_frozen(
        encoder, value, lambda: _encode_fields(encoder, value, names, "frozen")
    )


def _decode_frozen(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    kind = _class_of(decoder, node, _FROZEN)
    return _with_fields(decoder, plain, node, object.__new__(kind))


def _with_fields(
    decoder: Decoder, plain: Value, node: dict[str, Any], value: Value
) -> Value:
    names = _names(type(value))
    for name, field in _decode_fields(decoder, plain, node, names).items():
        object.__setattr__(value, name, field)  # A frozen class refuses its own.
    return value


def _encode_namedtuple(encoder: Encoder, value: Value) -> tuple[Value, Node]:
    names = list(value._fields)
    return encode_frozen(
        encoder, value, lambda: _encode_fields(encoder, value, names, "namedtuple")
    )


def _decode_namedtuple(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    kind = _class_of(decoder, node, _NAMEDTUPLE)
    fields = _decode_fields(decoder, plain, node, list(kind._fields))
    return tuple.__new__(kind, [fields[name] for name in kind._fields])


_ENUM = Entry(tag="enum", encode=_encode_enum, decode=_decode_enum)
_FROZEN = Entry(tag="frozen", encode=_encode_frozen, decode=_decode_frozen)
_NAMEDTUPLE = Entry(
    tag="namedtuple", encode=_encode_namedtuple, decode=_decode_namedtuple
)
_DATACLASS = Entry(
    tag="dataclass", encode=_encode_dataclass, decode=_decode_dataclass, is_shared=True
)
_UNREGISTERED = Entry(tag="", encode=_refuse, decode=_decode_enum)
for _entry in (_ENUM, _FROZEN, _NAMEDTUPLE, _DATACLASS):
    enter(_entry)
FINDERS.append(find_record)
