"""torch: sparse tensors, generators, sizes, dtypes, devices. Loaded with tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from ptutils.meta.codec.containers import decode_items, encode_items
from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.memory import memory, read_integers
from ptutils.meta.codec.table import Entry, Node, enter
from ptutils.meta.codec.tensors import DTYPES, with_gradient
from ptutils.meta.values import Value

__all__: list[str] = []

# Sparse tensors: a dict of the dense tensors that they consist of, under the name of
# their layout, by which the entry for tensors finds them. torch checks on
# reading that the indices are inside the sizes.

_COMPRESSED: Final = {
    "sparse_csr": (torch.sparse_csr, "crow_indices", "col_indices"),
    "sparse_csc": (torch.sparse_csc, "ccol_indices", "row_indices"),
    "sparse_bsr": (torch.sparse_bsr, "crow_indices", "col_indices"),
    "sparse_bsc": (torch.sparse_bsc, "ccol_indices", "row_indices"),
}


def _encode_parts(
    encoder: Encoder, value: torch.Tensor, tag: str, parts: dict[str, Value]
) -> tuple[Value, dict[str, Any]]:
    pairs = {"shape": list(value.shape), **parts}
    document, node = encode_items(encoder, pairs.items(), f"torch.{tag}")
    if value.requires_grad:
        node["grad"] = True
    return document, node


def _encode_coo(encoder: Encoder, value: torch.Tensor) -> tuple[Value, Node]:
    plain = value.detach()
    parts = {"indices": plain._indices(), "values": plain._values()}
    document, node = _encode_parts(encoder, value, "sparse_coo", parts)
    if value.is_coalesced():
        node["coalesced"] = True
    return document, node


def _encode_compressed(tag: str) -> Callable[..., Any]:
    _, rows, columns = _COMPRESSED[tag]

    def encode(encoder: Encoder, value: torch.Tensor) -> tuple[Value, Node]:
        plain = value.detach()
        parts = {name: getattr(plain, name)() for name in (rows, columns, "values")}
        return _encode_parts(encoder, value, tag, parts)

    return encode


def _decode_sparse(
    names: tuple[str, ...], build: Callable[..., torch.Tensor]
) -> Callable[..., Value]:
    def decode(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
        parts = dict(decode_items(decoder, plain, node))
        if parts.keys() != {"shape", *names}:
            decoder.refuse(f"shape, {', '.join(names)}", list(parts))
        shape = read_integers(decoder, parts["shape"], lowest=0)
        tensors = [decoder.expect(parts[name], torch.Tensor) for name in names]
        try:
            value = build(*tensors, shape, bool(node.get("coalesced")))
        except (RuntimeError, TypeError) as error:
            decoder.refuse("the parts of a sparse tensor", plain, error)
        return with_gradient(decoder, value, node)

    return decode


def _build_coo(
    indices: Value, values: Value, shape: Value, is_coalesced: bool
) -> Value:
    return torch.sparse_coo_tensor(
        indices, values, shape, is_coalesced=is_coalesced, check_invariants=True
    )


def _build_compressed(layout: torch.layout) -> Callable[..., torch.Tensor]:
    def build(
        rows: Value, columns: Value, values: Value, shape: Value, _: bool
    ) -> torch.Tensor:
        return torch.sparse_compressed_tensor(
            rows, columns, values, shape, layout=layout, check_invariants=True
        )

    return build


# Generators


def _encode_generator(encoder: Encoder, value: torch.Generator) -> tuple[Value, Node]:
    state = value.get_state()
    node: dict[str, Any] = {"is": "torch.Generator"}
    encoder.keep(node, memory(state.data_ptr(), state.numel(), state))
    return str(value.device), node


def _decode_generator(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    content = bytearray(decoder.artifact(node))
    try:
        generator = torch.Generator(decoder.expect(plain, str))
        generator.set_state(torch.frombuffer(content, dtype=torch.uint8))
    except (RuntimeError, ValueError, TypeError) as error:
        decoder.refuse("the state of a generator on a device here", plain, error)
    return generator


# Sizes, dtypes, devices, layouts


def _encode_size(encoder: Encoder, value: torch.Size) -> tuple[Value, Node]:
    return list(value), "torch.Size"


def _decode_size(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    return torch.Size(read_integers(decoder, plain, lowest=None))


def _encode_device(encoder: Encoder, value: torch.device) -> tuple[Value, Node]:
    return str(value), "torch.device"


def _decode_device(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    try:
        return torch.device(decoder.expect(plain, str))
    except RuntimeError as error:
        decoder.refuse("a device of torch", plain, error)


def _by_name(tag: str, kind: type[Any], known: dict[str, Any]) -> None:
    """Enter a type of which torch has a fixed number of values."""
    name_of = {value: name for name, value in known.items()}

    def encode(encoder: Encoder, value: Value) -> tuple[Value, Node]:
        return name_of[value], tag

    def decode(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
        value = known.get(decoder.expect(plain, str))
        return decoder.refuse(f"a {tag}", plain) if value is None else value

    enter(Entry(tag=tag, encode=encode, decode=decode), kind)


def _all_of(kind: type[Any]) -> dict[str, Any]:
    found = [value for value in vars(torch).values() if isinstance(value, kind)]
    return {str(value).removeprefix("torch."): value for value in found}


enter(
    Entry(
        tag="torch.sparse_coo",
        encode=_encode_coo,
        decode=_decode_sparse(("indices", "values"), _build_coo),
    )
)
for _tag, (_layout, _rows, _columns) in _COMPRESSED.items():
    enter(
        Entry(
            tag=f"torch.{_tag}",
            encode=_encode_compressed(_tag),
            decode=_decode_sparse(
                (_rows, _columns, "values"), _build_compressed(_layout)
            ),
        )
    )
enter(
    Entry(
        tag="torch.Generator",
        encode=_encode_generator,
        decode=_decode_generator,
        is_shared=True,
    ),
    torch.Generator,
)
enter(Entry(tag="torch.Size", encode=_encode_size, decode=_decode_size), torch.Size)
enter(
    Entry(tag="torch.device", encode=_encode_device, decode=_decode_device),
    torch.device,
)
_by_name("torch.dtype", torch.dtype, DTYPES)
_by_name("torch.layout", torch.layout, _all_of(torch.layout))
_by_name("torch.memory_format", torch.memory_format, _all_of(torch.memory_format))
