"""safetensors files: tensors by their path, all else in the header's metadata.

Every storage that one contiguous tensor fills is an entry of the file under the
tensor's path, with its dtype and sizes, so that any tool can read it. Other storages
are entries of bytes named ``_ptutils.<number>``. The metadata entry ``ptutils`` holds
the document, the sidecar and the names of the artifacts.

Source:
    The layout: https://huggingface.co/docs/safetensors, section Format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from ptutils.errors import DecodeError, FormatError
from ptutils.meta.codec import Encoded, decode, dumps, encode, loads
from ptutils.meta.codec.encoded import Buffer
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value

__all__ = ["read_safetensors", "write_safetensors"]

_METADATA: Final = "ptutils"
_DTYPES: Final = {
    "bool": ("BOOL", 1), "uint8": ("U8", 1), "int8": ("I8", 1),
    "uint16": ("U16", 2), "int16": ("I16", 2), "uint32": ("U32", 4),
    "int32": ("I32", 4), "uint64": ("U64", 8), "int64": ("I64", 8),
    "float16": ("F16", 2), "bfloat16": ("BF16", 2), "float32": ("F32", 4),
    "float64": ("F64", 8), "complex64": ("C64", 8),
    "float8_e4m3fn": ("F8_E4M3", 1), "float8_e5m2": ("F8_E5M2", 1),
}  # fmt: skip
_Entry = tuple[str, str, list[int], int]
"""Name, dtype, sizes and bytes per element."""


def read_safetensors(path: Path) -> Value:
    """Return the value that a file holds; of a file by others, tensors by name.

    Raises:
        FormatError: If the file is not in this format.
        DecodeError: If it was written by ptutils and is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise FormatError(
            f"cannot read {path}", expected="a safetensors file", got=str(error)
        ) from error
    if _METADATA not in metadata:
        return tensors
    return decode(_encoded(path, loads(metadata[_METADATA]), tensors))


def write_safetensors(path: Path, value: Value) -> None:
    """Write a value as a safetensors file, which appears whole.

    Raises:
        EncodeError: If a part of the value cannot be stored.
    """
    encoded = encode(value)
    entries = _entries(encoded)
    # Wide elements first, so that every tensor is aligned to its element.
    order = sorted(range(len(entries)), key=lambda number: -entries[number][3])
    header = _header(encoded, entries, order)
    with replacing(path) as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for number in order:
            file.write(encoded.artifacts[number])


def _header(encoded: Encoded, entries: list[_Entry], order: list[int]) -> bytes:
    told = {
        "document": encoded.document,
        "types": encoded.types,
        "names": [name for name, *_ in entries],
    }
    header: dict[str, Any] = {"__metadata__": {_METADATA: dumps(told)}}
    position = 0
    for number in order:
        name, dtype, shape, _ = entries[number]
        end = position + len(encoded.artifacts[number])
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, separators=(",", ":")).encode()
    return text.ljust(-(-len(text) // 8) * 8)


def _entries(encoded: Encoded) -> list[_Entry]:
    """Return how each artifact appears in the file."""
    natural: dict[int, _Entry] = {}
    if encoded.types:
        tree = loads(encoded.types)["tree"]
        for number, entry in _natural(encoded.document, tree, ()):
            if math.prod(entry[2]) * entry[3] == len(encoded.artifacts[number]):
                natural.setdefault(number, entry)
    return [
        natural.get(number, (f"_ptutils.{number}", "U8", [len(artifact)], 1))
        for number, artifact in enumerate(encoded.artifacts)
    ]


def _natural(
    document: Value, node: Value, path: tuple[str, ...]
) -> Iterator[tuple[int, _Entry]]:
    """Yield the tensors below a node that fill their artifact from its start."""
    if not isinstance(node, dict):
        return
    if node.get("is") in ("torch.Tensor", "torch.nn.Parameter"):
        name, _, sizes = document.rstrip("]").partition("[")
        if "at" in node and name in _DTYPES and not node.keys() & {"strides", "offset"}:
            shape = [int(size) for size in sizes.split(", ") if size]
            dtype, width = _DTYPES[name]
            yield node["at"], (".".join(path) or "tensor", dtype, shape, width)
        return
    for key, below in node.get("in", {}).items():
        held = document[int(key)] if isinstance(document, list) else document[key]
        yield from _natural(held, below, (*path, key))


def _encoded(path: Path, told: Value, tensors: dict[str, torch.Tensor]) -> Encoded:
    try:
        return Encoded(
            document=told["document"],
            types=told["types"],
            artifacts=tuple(_content(tensors[name]) for name in told["names"]),
        )
    except (KeyError, TypeError) as error:
        raise DecodeError(
            f"cannot read {path}", expected="document, types and names", got=str(error)
        ) from error


def _content(tensor: torch.Tensor) -> Buffer:
    content: Any = tensor.reshape(-1).view(torch.uint8).numpy()
    return memoryview(content)


register_format(".safetensors", read=read_safetensors, write=write_safetensors)
