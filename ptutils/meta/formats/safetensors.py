"""safetensors files: tensors by their path, all else in the header's metadata.

Every storage that one contiguous tensor fills is an entry of the file under the
tensor's path, with its dtype and sizes, so that any tool can read it. Other storages
are entries of bytes named ``_ptutils.<number>``. The metadata entry ``ptutils`` holds
the manifest.

Source:
    The layout: https://huggingface.co/docs/safetensors, section Format.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from ptutils.errors import DecodeError, FormatError
from ptutils.meta.codec import Buffer, encode
from ptutils.meta.formats.atomic import replacing
from ptutils.meta.formats.entries import entries_of
from ptutils.meta.formats.header import header_of
from ptutils.meta.formats.manifest import BEGINNING, brought_back, manifest_of
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value

__all__ = ["read_safetensors", "tensors_in", "write_safetensors"]

_METADATA: Final = "ptutils"
_LONGEST_HEADER: Final = 100_000_000  # bytes; the library reads no longer one


def read_safetensors(path: Path) -> Value:
    """Return the value that a file holds; of a file by others, tensors by name.

    Raises:
        FormatError: If the file is not in this format.
        DecodeError: If it was written by ptutils and is damaged.
    """
    metadata, tensors = _opened(path)
    if _METADATA not in metadata:
        _require_foreign(path, metadata)
        return tensors
    return brought_back(path, metadata[_METADATA], lambda name: _content(tensors[name]))


def tensors_in(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file by name, whatever else it holds.

    Raises:
        FormatError: If the file is not in this format.
    """
    return _opened(path)[1]


def write_safetensors(path: Path, value: Value) -> None:
    """Write a value as a safetensors file, which appears whole.

    Raises:
        EncodeError: If a part of the value cannot be stored.
        FormatError: If what is not in tensors takes more than 100 MB.
    """
    encoded = encode(value)
    sizes = [len(artifact) for artifact in encoded.artifacts]
    entries = entries_of(encoded.document, encoded.types, sizes)
    manifest = manifest_of(encoded, [entry.name for entry in entries])
    header, order = header_of(entries, {_METADATA: manifest})
    if len(header) > _LONGEST_HEADER:
        raise FormatError(
            f"cannot write {path}",
            expected="at most 100 MB of text, numbers and small bytes",
            got=f"{len(header)} bytes of header",
            fix="hold them in arrays, or choose .npz or .h5",
        )
    with replacing(path) as file:
        file.write(header)
        for number in order:
            file.write(encoded.artifacts[number])


def _opened(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise FormatError(
            f"cannot read {path}", expected="a safetensors file", got=str(error)
        ) from error
    return metadata, tensors


def _require_foreign(path: Path, metadata: dict[str, str]) -> None:
    """Refuse a file of ptutils in which the name of the manifest is damaged."""
    for name, text in metadata.items():
        if text.startswith(BEGINNING):
            raise DecodeError(
                f"cannot read {path}",
                expected=f"the manifest under {_METADATA!r}",
                got=f"it under {name!r}: the file is damaged",
                fix="take it from a copy, or save it again",
            )


def _content(tensor: torch.Tensor) -> Buffer:
    content: Any = tensor.reshape(-1).view(torch.uint8).numpy()
    return memoryview(content)


register_format(".safetensors", read=read_safetensors, write=write_safetensors)
