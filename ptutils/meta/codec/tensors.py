"""torch: tensors of every dtype and layout that hold memory of their own.

A tensor appears in the document as ``float32[3, 4]``; its storage is an artifact, which
views of one storage share. Loaded when a tensor is first met. What autograd and hooks
hang on a tensor (``grad``, ``grad_fn``) is not part of its value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from ptutils.meta.codec.decode import Decoder
from ptutils.meta.codec.encode import Encoder
from ptutils.meta.codec.encoded import Buffer
from ptutils.meta.codec.memory import (
    described,
    description,
    memory,
    read_described,
    read_integers,
)
from ptutils.meta.codec.storages import check_span, dense_strides, span
from ptutils.meta.codec.table import Entry, Node, enter, find_tag
from ptutils.meta.values import Value

__all__ = [
    "DTYPES",
    "PARAMETER",
    "TENSOR",
    "dtype_name",
    "storage_key",
    "with_gradient",
]

TENSOR: Final = "torch.Tensor"
PARAMETER: Final = "torch.nn.Parameter"
DTYPES: Final[dict[str, torch.dtype]] = {
    str(dtype)[len("torch.") :]: dtype
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype)
}
"""Every dtype of this torch by its own name, without aliases."""

_NAMES: Final = {
    dtype: name for name, dtype in DTYPES.items() if not name.startswith(("q", "bits"))
}


_SIMPLE: Final = frozenset({"is", "at", "id", "grad", "device"})
"""What a node tells of a dense tensor at the beginning of its storage."""

_SHARED: Final = frozenset(
    {
        *("bool", "int8", "int16", "int32", "int64", "uint8"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    }
)
"""The dtypes of which numpy's memory can be taken, which is quicker than torch's own
way."""

_MOST_AXES: Final = 32
"""Of an array, for the oldest numpy."""

_SMALL_BYTES: Final = 1 << 16
"""Up to which size bytes are copied by Python: it is the quicker one to begin."""


def dtype_name(encoder: Encoder, value: torch.Tensor) -> str:
    """Return the name of a tensor's dtype, after refusing what cannot be stored."""
    name = _NAMES.get(value.dtype)
    fault = ""
    if name is None:
        fault = f"a tensor of dtype {value.dtype}"
    elif value.is_nested:
        fault = "a nested tensor"
    elif not value.is_leaf:
        fault = "a tensor that remembers how it was computed"
    elif value.__dict__:
        fault = f"a tensor with the attribute {next(iter(value.__dict__))!r}"
    if fault:
        encoder.refuse(
            "cannot store this tensor",
            expected="one that its dtype, sizes, strides and bytes describe",
            got=fault,
            fix="store tensor.detach(), or convert it to a plain dense tensor",
        )
    return str(name)


def _encode_tensor(encoder: Encoder, value: torch.Tensor) -> tuple[Value, Node]:
    name = dtype_name(encoder, value)
    if value.layout is not torch.strided:
        return _encode_sparse(encoder, value)
    shape, strides, device = value.shape, value.stride(), value.device
    node: dict[str, Any] = {"is": TENSOR if type(value) is torch.Tensor else PARAMETER}
    text, is_dense, last = _layout(name, shape, strides)
    if not is_dense:
        node["strides"] = list(strides)
    if value.requires_grad:
        node["grad"] = True
    if value.is_conj():
        node["conj"] = True
    if value.is_neg():
        node["neg"] = True
    kind = device.type
    if kind != "cpu":
        node["device"] = str(device)
    if last >= 0 and kind != "meta":
        _touch(encoder, value, node, last)
    return text, node


@lru_cache(4096)
def _layout(
    name: str, shape: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[str, bool, int]:
    """Return how a tensor is described, whether it is dense, and its last position."""
    is_dense = list(strides) == dense_strides(shape)
    last = -1 if 0 in shape else span(shape, strides)[1]
    return described(name, shape), is_dense, last


def _touch(
    encoder: Encoder, value: torch.Tensor, node: dict[str, Any], last: int
) -> None:
    size = value.element_size()
    start = int(value.storage_offset()) * size
    whole = value.untyped_storage()
    storage = encoder.storage(storage_key(whole), partial(_cut, encoder, whole))
    storage.watch(value)
    high = start + (last + 1) * size
    storage.touch(node, low=start, high=high, start=start, unit=size)


def storage_key(whole: torch.UntypedStorage) -> object:
    """Return by what a storage is known while it lives."""
    return "torch", whole._cdata


def _cut(
    encoder: Encoder, whole: torch.UntypedStorage, first: int, last: int
) -> Buffer:
    if whole.device.type != "cpu":  # pragma: no cover - needs a GPU
        return _fetch(encoder, whole, first, last)
    return memory(whole.data_ptr() + first, last - first, whole)


def _fetch(
    encoder: Encoder, whole: torch.UntypedStorage, first: int, last: int
) -> Buffer:  # pragma: no cover - needs a GPU
    """Return a copy in the memory of the host; from CUDA it is there after a wait."""
    device = whole.device
    view = torch.empty(0, dtype=torch.uint8, device=device)
    view.set_(whole, first, (last - first,), (1,))
    if device.type == "cuda":
        # torch keeps pinned memory that is let go of, and gives it out again.
        host = torch.empty(last - first, dtype=torch.uint8, pin_memory=True)
        host.copy_(view, non_blocking=True)
        encoder.waits[device] = partial(torch.cuda.synchronize, device)
    else:
        host = view.cpu()
    content: Any = host.numpy()
    return memoryview(content)


def _encode_sparse(encoder: Encoder, value: torch.Tensor) -> tuple[Value, Node]:
    entry = find_tag(
        str(value.layout)
    )  # Loads the file for sparse tensors, if need be.
    if entry is None or type(value) is not torch.Tensor or value.is_conj():
        encoder.refuse(
            "cannot store this tensor",
            expected="a strided tensor, or a sparse one that is no parameter",
            got=f"a {type(value).__name__} of layout {value.layout}",
            fix="store tensor.to_dense()",
        )
    return entry.encode(encoder, value)


def _decode_tensor(decoder: Decoder, plain: Value, node: dict[str, Any]) -> Value:
    form = _form(decoder.expect(plain, str))
    if form is None:
        name, _ = read_described(decoder, plain)  # It says what is wrong with it.
        decoder.refuse("a dtype of torch", name)
    value = _whole(decoder, node, form)
    if value is None:
        value = _with_bits(decoder, _viewed(decoder, node, form), node)
    return with_gradient(decoder, value, node)


def _whole(decoder: Decoder, node: dict[str, Any], form: _Form) -> torch.Tensor | None:
    """Return a dense tensor that is all there is in its storage; of any other, None.

    Most tensors are such. A tensor of ours alone then needs one step, not four.
    """
    if decoder.device != "cpu" or form.shared is None or not _is_simple(node):
        return None
    content: Any = decoder.artifact(node)
    key = "torch", node["at"]
    if key in decoder.storages or not 0 < form.size == len(content):
        return None
    if type(content) is bytes and form.size <= _SMALL_BYTES:
        content = bytearray(content)
    elif type(content) is bytes or content.readonly:
        return None
    value = torch.from_numpy(np.ndarray(form.shape, form.shared, content))
    decoder.storages[key] = value.untyped_storage()
    return value


def _is_simple(node: dict[str, Any]) -> bool:
    """Return whether a tensor is dense, and begins where its artifact does."""
    is_plain = "at" in node and _SIMPLE.issuperset(node)
    return is_plain and node.get("device") != "meta"


def _viewed(decoder: Decoder, node: dict[str, Any], form: _Form) -> torch.Tensor:
    """Return a tensor with the strides, the offset and the device that a node says."""
    strides: Sequence[int] = form.strides
    if "strides" in node:
        strides = read_integers(decoder, node["strides"], lowest=0)
    offset = read_integers(decoder, [node.get("offset", 0)], lowest=0)[0]
    is_meta = node.get("device") == "meta"
    is_filled = check_span(
        form.shape,
        strides,
        offset=offset,
        itemsize=form.dtype.itemsize,
        unit=form.dtype.itemsize,
        available=_available(decoder, node, is_meta),
    )
    if is_filled and not is_meta:
        storage = _storage(decoder, node)
        value = torch.empty(0, dtype=form.dtype, device=storage.device)
        value.set_(storage, offset, form.shape, strides)
        return value
    device = "meta" if is_meta else _device(decoder, node)
    return torch.empty_strided(form.shape, strides, dtype=form.dtype, device=device)


class _Form(NamedTuple):
    """What a description says of a tensor: of a dense one all but the bytes."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    size: int
    shared: np.dtype[Any] | None


@lru_cache(4096)
def _form(plain: str) -> _Form | None:
    """Read a description; most tensors of a State look like another one."""
    described = description(plain)
    dtype = DTYPES.get(described[0]) if described else None
    if described is None or dtype not in _NAMES:
        return None
    name, shape = described
    strides = tuple(dense_strides(shape))
    size = math.prod(shape) * dtype.itemsize
    shared = np.dtype(name) if name in _SHARED and len(shape) <= _MOST_AXES else None
    return _Form(dtype, shape, strides, size, shared)


def _available(decoder: Decoder, node: dict[str, Any], is_meta: bool) -> int:
    if is_meta:
        return -1
    return len(decoder.artifact(node)) if "at" in node else 0


def _device(decoder: Decoder, node: dict[str, Any]) -> torch.device:
    name = decoder.device or node.get("device", "cpu")
    try:
        return torch.device(name)
    except (RuntimeError, TypeError) as error:
        decoder.refuse("a device", name, error)


def _storage(decoder: Decoder, node: dict[str, Any]) -> torch.UntypedStorage:
    """Return the storage that a node refers to: made once, shared by its views."""
    key = ("torch", decoder.artifact_number(node))
    storage: torch.UntypedStorage | None = decoder.storages.get(key)
    if storage is None:
        host = _bytes(decoder.artifact(node))
        if decoder.device != "cpu":
            host = _placed(decoder, host, node)
        storage = decoder.storages[key] = host.untyped_storage()
    return storage


def _bytes(content: Buffer) -> torch.Tensor:
    """Return bytes as a tensor: these very ones where they may be written."""
    if isinstance(content, memoryview) and not content.readonly:
        return torch.frombuffer(content, dtype=torch.uint8)
    if len(content) <= _SMALL_BYTES:
        return torch.frombuffer(bytearray(content), dtype=torch.uint8)
    host = torch.empty(len(content), dtype=torch.uint8)
    host.numpy()[:] = np.frombuffer(content, dtype=np.uint8)
    return host


def _placed(decoder: Decoder, host: torch.Tensor, node: dict[str, Any]) -> torch.Tensor:
    try:
        return host.to(_device(decoder, node))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        fix = "decode with device='cpu'"
        decoder.refuse("a device of this machine", node.get("device"), error, fix)


def _with_bits(
    decoder: Decoder, value: torch.Tensor, node: dict[str, Any]
) -> torch.Tensor:
    if node.get("conj"):
        if not value.is_complex():
            decoder.refuse("a complex tensor to conjugate", str(value.dtype))
        value = torch.conj(value)
    return torch._neg_view(value) if node.get("neg") else value


def with_gradient(
    decoder: Decoder, value: torch.Tensor, node: dict[str, Any]
) -> torch.Tensor:
    """Return ``value`` with the class and the ``requires_grad`` that a node says."""
    wants = bool(node.get("grad"))
    if wants and not (value.is_floating_point() or value.is_complex()):
        decoder.refuse("a floating dtype for a gradient", str(value.dtype))
    if node["is"] == PARAMETER:
        return torch.nn.Parameter(value, requires_grad=wants)
    return value.requires_grad_() if wants else value


enter(
    Entry(tag=TENSOR, encode=_encode_tensor, decode=_decode_tensor, is_shared=True),
    torch.Tensor,
)
enter(
    Entry(tag=PARAMETER, encode=_encode_tensor, decode=_decode_tensor, is_shared=True),
    torch.nn.Parameter,
)
