"""Sharded safetensors: tensors in several files, and an index that tells in which.

Source:
    https://huggingface.co/docs/transformers/big_models, section Sharded checkpoints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NoReturn

from ptutils.errors import DecodeError, FormatError
from ptutils.meta.codec import loads
from ptutils.meta.formats.safetensors import tensors_in
from ptutils.meta.formats.table import register_format
from ptutils.meta.values import Value

__all__ = ["read_shards", "write_shards"]

_KEYS: Final = {"metadata", "weight_map"}


def read_shards(path: Path) -> dict[str, Value]:
    """Return the tensors that an index names, by name, from the files beside it.

    Raises:
        FormatError: If the index is of another form, or names a file outside of its
            folder, or one or a tensor that is not there; all of them are named.
    """
    files = _files(path)
    shards = sorted(set(files.values()))
    missing = [name for name in shards if not path.with_name(name).exists()]
    if missing:
        _refuse(path, f"all of {len(shards)} files beside it", missing)
    held = {name: tensors_in(path.with_name(name)) for name in shards}
    absent = [name for name, file in files.items() if name not in held[file]]
    if absent:
        _refuse(path, "every tensor in the file that the index tells", absent)
    return {name: held[file][name] for name, file in files.items()}


def write_shards(path: Path, value: Value) -> NoReturn:
    """Refuse to write.

    Raises:
        FormatError: Always; one file holds any number of tensors.
    """
    raise FormatError(
        f"cannot write {path}",
        expected="a format of one file",
        got="an index of shards, which is only read",
        fix="choose .safetensors",
    )


def _files(path: Path) -> dict[str, str]:
    """Return for each tensor the name of its file."""
    try:
        index = loads(path.read_text("utf-8"))
    except (DecodeError, UnicodeDecodeError) as error:
        raise FormatError(
            f"cannot read {path}", expected="JSON in UTF-8", got=str(error)
        ) from error
    files = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(files, dict) or index.keys() - _KEYS:
        raise FormatError(
            f"cannot read {path}",
            expected="an index with weight_map and nothing else but metadata",
            got=f"{index!r:.60}",
        )
    unsafe = [str(file) for file in files.values() if not _is_beside(file)]
    if unsafe:
        _refuse(path, "names of .safetensors files in the same folder", unsafe)
    return files


def _is_beside(file: Value) -> bool:
    is_name = isinstance(file, str) and not any(sign in file for sign in "/\\\0")
    return is_name and file.endswith(".safetensors")


def _refuse(path: Path, expected: str, names: list[str]) -> NoReturn:
    named = ", ".join(map(repr, names[:12])) + (", ..." if len(names) > 12 else "")
    raise FormatError(
        f"cannot read {path}",
        expected=expected,
        got=f"not so for {named}",
        fix="get the missing files, or the index that belongs to these",
    )


register_format(".safetensors.index.json", read=read_shards, write=write_shards)
