"""Seals: a line in a file that tells the blake3 of its other bytes.

The libraries of some formats crash on damaged files, so that a digest inside, which
they would have to read, comes too late. Such files are sealed and checked first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from blake3 import blake3

from ptutils.errors import DecodeError
from ptutils.meta.codec import Buffer

__all__ = ["SEAL_SIZE", "check_seal", "pieces_of", "seal_of"]

_MARK: Final = b"ptutils blake3 "
_DIGITS: Final = 64
SEAL_SIZE: Final = len(_MARK) + _DIGITS + 1
"""The bytes of a seal."""

_PIECE: Final = 1 << 20


def seal_of(pieces: Iterable[Buffer]) -> bytes:
    """Return the seal of bytes that come in pieces."""
    hasher = blake3()
    for piece in pieces:
        hasher.update(piece)
    return _MARK + hasher.hexdigest().encode() + b"\n"


def pieces_of(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the next ``size`` bytes of a file in pieces."""
    for place in range(0, size, _PIECE):
        yield file.read(min(_PIECE, size - place))


def check_seal(path: Path, *, at_end: bool) -> bool:
    """Check the bytes of a file by its seal; return whether it has one.

    Args:
        path: The file.
        at_end: Whether the seal is the last thing in the file, otherwise the first.

    Raises:
        DecodeError: If the file has a seal, and other bytes than that tells.
    """
    with path.open("rb") as file:
        rest = max(file.seek(0, 2) - SEAL_SIZE, 0)
        file.seek(rest if at_end else 0)
        seal = file.read(SEAL_SIZE)
        if not (len(seal) == SEAL_SIZE and seal.startswith(_MARK)):
            return False
        file.seek(0 if at_end else SEAL_SIZE)
        found = seal_of(pieces_of(file, rest))
    if seal != found:
        told = seal[len(_MARK) :].decode("ascii", "replace").strip()
        raise DecodeError(
            f"cannot read {path}: it is damaged, or was changed by another tool",
            expected=f"content whose blake3 is {told!r}",
            fix="take it from a copy, or save it again",
        )
    return True
