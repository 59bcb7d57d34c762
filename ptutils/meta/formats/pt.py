"""PyTorch's files, read with ``weights_only``, so that reading runs no code.

What ``torch.save`` keeps exactly is saved as itself, so that ``torch.load`` gives a
state dict. Anything else is saved in the codec's form, under the key ``_ptutils``.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from ptutils.errors import DecodeError, FormatError
from ptutils.meta.codec import encode
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.formats.manifest import brought_back, manifest_of
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value

__all__ = ["read_pt", "write_pt"]

_KEY: Final = "_ptutils"
_TENSORS: Final = (torch.Tensor, torch.nn.Parameter)
_SCALARS: Final = (type(None), bool, int, float, str)
_DTYPES: Final = frozenset({
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
    torch.complex64, torch.complex128,
})  # fmt: skip
_DEEPEST: Final = 50
_FAULTS: Final = (
    ArithmeticError, AssertionError, AttributeError, EOFError, ImportError,
    LookupError, MemoryError, NotImplementedError, RuntimeError, TypeError, ValueError,
    pickle.UnpicklingError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What torch and zipfile raise for damaged files."""


def read_pt(path: Path) -> Value:
    """Return the value that a PyTorch file holds, tensors on the CPU.

    Raises:
        FormatError: If the file is not PyTorch's, or holds objects that only code
            could make.
        DecodeError: If it is in the codec's form and damaged.
    """
    file = io.BytesIO(path.read_bytes())
    try:
        _check(file)
        value = torch.load(file, map_location="cpu", weights_only=True)
    except _FAULTS as error:
        raise _fault(path, file, error) from error
    if type(value) is not dict or value.keys() != {_KEY}:
        return value
    return _from_codec(path, value[_KEY])


def _check(file: io.BytesIO) -> None:
    """Compare the contents of an archive with their checksums, which torch ignores."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"a damaged {damaged}")
    file.seek(0)


def _fault(path: Path, file: io.BytesIO, error: Exception) -> FormatError:
    """Return the error for a file, which names what only code could make."""
    names = _classes(file)
    if not names:
        return FormatError(
            f"cannot read {path}",
            expected="a whole file of torch.save",
            # PyTorch goes on with advice to read it in the way that runs code.
            got=str(error).partition("\n")[0].partition(". In PyTorch")[0]
            or type(error).__name__,
            fix="take it from a copy, or save it again",
        )
    return FormatError(
        f"cannot read {path}: it holds objects that code would have to make",
        expected="tensors and plain containers",
        got=", ".join(names[:6]) + (", ..." if len(names) > 6 else ""),
        fix="save the state_dict() alone, or if you know who wrote the file, "
        "allow these classes by torch.serialization.add_safe_globals",
    )


def _classes(file: io.BytesIO) -> list[str]:
    file.seek(0)
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    except _FAULTS:
        return []


def write_pt(path: Path, value: Value) -> None:
    """Write a value as a PyTorch file, which appears whole.

    Raises:
        EncodeError: If a part of the value cannot be stored.
    """
    content = value if _is_native(value, 0) else {_KEY: _to_codec(value)}
    with replacing(path) as file:
        torch.save(content, file)


def _is_native(value: Value, depth: int) -> bool:
    kind = type(value)
    if kind in _TENSORS:
        return _is_native_tensor(value)
    if kind in _SCALARS:
        return kind is not int or value.bit_length() < 64
    if depth > _DEEPEST:
        return False
    if kind in (list, tuple):
        return all(_is_native(item, depth + 1) for item in value)
    if kind in (dict, OrderedDict):
        return _KEY not in value and all(
            type(key) in _SCALARS and _is_native(item, depth + 1)
            for key, item in value.items()
        )
    return False


def _is_native_tensor(value: torch.Tensor) -> bool:
    return (
        value.dtype in _DTYPES
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and value.is_leaf
        and not (value.__dict__ or value.is_conj() or value.is_neg())
        and value.is_contiguous()
        # torch.save would write all of a storage for a view of a part.
        and value.untyped_storage().nbytes() == value.nbytes
    )


def _to_codec(value: Value) -> dict[str, Any]:
    encoded = encode(value)
    names = [str(number) for number in range(len(encoded.artifacts))]
    contents = (
        torch.from_numpy(np.frombuffer(artifact, dtype=np.uint8).copy())
        for artifact in encoded.artifacts
    )
    return {
        "manifest": manifest_of(encoded, names),
        "artifacts": dict(zip(names, contents, strict=True)),
    }


def _from_codec(path: Path, parts: Value) -> Value:
    try:
        manifest, artifacts = parts["manifest"], parts["artifacts"]
        contents = {name: memoryview(artifacts[name].numpy()) for name in artifacts}
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise DecodeError(
            f"cannot read {path}",
            expected="a manifest and artifacts",
            got=f"{parts!r:.60}",
        ) from error
    return brought_back(path, manifest, contents.__getitem__)


for _suffix in (".bin", ".ckpt", ".pt", ".pth"):
    register_format(_suffix, read=read_pt, write=write_pt)
