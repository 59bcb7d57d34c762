"""numpy: arrays of every dtype but object, scalars, dtypes. Loaded when first met.

An array appears in the document as ``float32[3, 4]``; its bytes are an artifact. Views
of one array keep their tie. Memory that numpy shares with a tensor or a file does not
stay shared.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ptutils.errors import DecodeError
from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.memory import (
    described,
    memory,
    read_described,
    read_integers,
)
from ptutils.meta.codec.plain import dumps, loads
from ptutils.meta.codec.storages import check_span, dense_strides, span
from ptutils.meta.codec.table import Entry, Node, enter
from ptutils.meta.values import Value

__all__ = ["note_dtype", "read_dtype"]

_PLAIN_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    name: np.dtype(name)
    for name in (
        *("bool", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    )
}
"""The dtypes that their name says exactly, in the byte order of this machine."""

_NAMES: Final = {dtype: name for name, dtype in _PLAIN_DTYPES.items()}

_FAULTS = (
    DecodeError, IndexError, KeyError, OverflowError, RecursionError, SyntaxError,
    TypeError, ValueError,
)  # fmt: skip


def _encode_array(encoder: Encoder, value: np.ndarray[Any, Any]) -> tuple[Value, Node]:
    dtype, shape = value.dtype, value.shape
    node: dict[str, Any] = {"is": "numpy.ndarray"}
    note_dtype(encoder, dtype, node)
    if value.strides != tuple(dense_strides(shape, dtype.itemsize)):
        node["strides"] = list(value.strides)
    if not value.flags.writeable:
        node["readonly"] = True
    if value.size and dtype.itemsize:
        _touch(encoder, value, node)
    return described(_NAMES.get(dtype) or dtype.name, shape), node


def _touch(encoder: Encoder, value: np.ndarray[Any, Any], node: dict[str, Any]) -> None:
    root = value
    while type(root.base) is np.ndarray:
        root = root.base
    origin = _address(root) + span(root.shape, root.strides)[0]
    start = _address(value) - origin
    low, high = span(value.shape, value.strides)
    storage = encoder.storage(
        ("numpy", id(root)),
        lambda first, last: memory(origin + first, last - first, root),
    )
    storage.touch(
        node, low=start + low, high=start + high + value.itemsize, start=start, unit=1
    )


def _address(value: np.ndarray[Any, Any]) -> int:
    address: int = value.__array_interface__["data"][0]
    return address


def _decode_array(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    name, shape = read_described(decoder, plain)
    dtype = read_dtype(decoder, name, node)
    default = dense_strides(shape, dtype.itemsize)
    strides = read_integers(decoder, node.get("strides", default), lowest=None)
    offset = read_integers(decoder, [node.get("offset", 0)], lowest=0)[0]
    is_filled = check_span(
        shape,
        strides,
        offset=offset,
        itemsize=dtype.itemsize,
        unit=1,
        available=len(decoder.artifact(node)) if "at" in node else 0,
    )
    value: np.ndarray[Any, Any]
    if is_filled:
        root = _root(decoder, node)
        value = np.ndarray(shape, dtype, root, offset, strides)
    else:
        value = np.ndarray(shape, dtype, bytearray(1), 0, strides)
    if node.get("readonly"):
        value.flags.writeable = False
    return value


def _root(decoder: Decoder, node: dict[str, Any]) -> np.ndarray[Any, Any]:
    number = ("numpy", decoder.artifact_number(node))
    root: np.ndarray[Any, Any] | None = decoder.storages.get(number)
    if root is None:
        root = np.frombuffer(decoder.artifact(node), dtype=np.uint8)
        root = root if root.flags.writeable else root.copy()
        decoder.storages[number] = root
    return root


# Dtypes: those that a name says exactly need no more, others keep their descriptor.


def note_dtype(encoder: Encoder, dtype: np.dtype[Any], node: dict[str, Any]) -> None:
    """Give ``node`` the descriptor of a dtype, where its name does not say enough."""
    if dtype in _NAMES and not dtype.metadata:
        return
    descriptor = None
    if not (dtype.hasobject or dtype.metadata):
        descriptor = loads(dumps(_lists(np.lib.format.dtype_to_descr(dtype))))
    if descriptor is None or _dtype(descriptor) != dtype:
        encoder.refuse(
            "cannot store an array of this dtype",
            expected="a dtype of numpy itself, without objects and metadata",
            got=repr(dtype),
            fix="convert it, or hold its elements in a list",
        )
    node["dtype"] = descriptor


def read_dtype(decoder: Decoder, name: str, node: dict[str, Any]) -> np.dtype[Any]:
    """Return the dtype that a name or a node's descriptor stands for."""
    if "dtype" not in node:
        dtype = _PLAIN_DTYPES.get(name)
        return decoder.refuse("a dtype of numpy", name) if dtype is None else dtype
    try:
        dtype = _dtype(node["dtype"])
    except _FAULTS as error:
        decoder.refuse("the descriptor of a dtype", node["dtype"], error)
    if dtype.hasobject:
        decoder.refuse("a dtype without objects", node["dtype"])
    return dtype


def _dtype(descriptor: Value) -> np.dtype[Any]:
    # Read as numpy reads the header of an .npy file.
    dtype: np.dtype[Any] = np.lib.format.descr_to_dtype(_tuples(descriptor))
    return dtype


def _lists(descriptor: Value) -> Value:
    if isinstance(descriptor, (list, tuple)):
        return [_lists(item) for item in descriptor]
    return descriptor


def _tuples(descriptor: Value) -> Value:
    """Give a descriptor from JSON its tuples back: fields, titles and shapes."""
    if not isinstance(descriptor, list):
        return descriptor
    fields = []
    for name, below, *shape in descriptor:
        title = tuple(name) if isinstance(name, list) else name
        fields.append((title, _tuples(below), *(tuple(item) for item in shape)))
    return fields


def _encode_dtype(encoder: Encoder, value: np.dtype[Any]) -> tuple[Value, Node]:
    node: dict[str, Any] = {"is": "numpy.dtype"}
    note_dtype(encoder, value, node)
    return value.name, node


def _decode_dtype(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    return read_dtype(decoder, decoder.expect(plain, str), node)


enter(
    Entry(
        tag="numpy.ndarray",
        encode=_encode_array,
        decode=_decode_array,
        is_shared=True,
    ),
    np.ndarray,
)
enter(
    Entry(tag="numpy.dtype", encode=_encode_dtype, decode=_decode_dtype),
    *{type(np.dtype(code)) for code in np.typecodes["All"] if code != "O"},
)
