"""Compressed packs: each artifact is one zstd frame, which tells its own full size.

The frames lie in a pack as artifacts do in others, under the digest of the full bytes,
and the name of the file says it. An artifact that hardly shrinks stays as it is, in a
pack of the usual kind, where it can be mapped.

Source:
    The frame: RFC 8878.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from ptutils.errors import ConfigError, DatabaseError
from ptutils.meta.codec import Buffer
from ptutils.meta.codec.slices import MOST_WHOLE_BYTES

__all__ = [
    "COMPRESSED_SUFFIX",
    "HEAD_BYTES",
    "SUFFIX",
    "Compression",
    "check_compression",
    "expanded",
    "expanded_size",
    "lots",
]

Compression = Literal["zstd"] | None
"""What a database may be told to do with new packs."""

SUFFIX: Final = ".safetensors"
"""Ends the name of every pack."""

COMPRESSED_SUFFIX: Final = f".zst{SUFFIX}"
"""Ends the name of a compressed one."""

HEAD_BYTES: Final = 18
"""So many bytes of a frame, or fewer, tell its full size."""

_LEVEL: Final = 1
"""Higher ones gain nothing on weights, and take twice the time."""

_LEAST_GAIN: Final = 0.05
_HELD_BYTES: Final = 64 << 20
"""So many bytes of frames are held in memory before they become a pack."""


def check_compression(compression: object) -> None:
    """Refuse a compression that there is not, or that is not installed.

    Raises:
        ConfigError: If it has another name.
        DatabaseError: If the library is not installed.
    """
    if compression is None:
        return
    if compression != "zstd":
        raise ConfigError(
            "cannot compress packs in this way",
            path="compression",
            expected="'zstd' or None",
            got=repr(compression),
        )
    _library()


def lots(
    artifacts: Mapping[str, Buffer], compression: Compression
) -> Iterator[tuple[str, dict[str, Buffer]]]:
    """Yield what goes into one pack each: the end of its name, and what lies in it.

    Args:
        artifacts: By digest.
        compression: Of the new packs.
    """
    plain: dict[str, Buffer] = {}
    frames: dict[str, Buffer] = {}
    held_bytes = 0
    for digest, artifact in artifacts.items():
        frame = _compressed(artifact) if compression else None
        if frame is None:
            plain[digest] = artifact
            continue
        frames[digest] = frame
        held_bytes += len(frame)
        if held_bytes > _HELD_BYTES:
            yield COMPRESSED_SUFFIX, frames
            frames, held_bytes = {}, 0
    if frames:
        yield COMPRESSED_SUFFIX, frames
    if plain:
        yield SUFFIX, plain


def expanded(frame: Buffer, size: int) -> memoryview:
    """Return the bytes of a frame; allocates no more than an artifact may have.

    Raises:
        ValueError: If it is damaged, or of another size.
        DatabaseError: If the library is not installed.
    """
    told = expanded_size(frame)
    if told != size:
        raise ValueError(f"a frame of {told} bytes")
    library = _library()
    try:
        return memoryview(library.ZstdDecompressor().decompress(frame))
    except library.ZstdError as error:
        raise ValueError(f"a damaged frame: {error}") from error


def expanded_size(head: Buffer) -> int:
    """Return the size of the bytes of a frame from its first bytes.

    Raises:
        ValueError: If that is no frame of ours.
        DatabaseError: If the library is not installed.
    """
    library = _library()
    try:
        size = int(library.frame_content_size(head))
    except library.ZstdError as error:
        raise ValueError("no frame") from error
    if not 0 <= size <= MOST_WHOLE_BYTES:
        raise ValueError(f"no frame of at most {MOST_WHOLE_BYTES} bytes")
    return size


def _compressed(artifact: Buffer) -> bytes | None:
    """Return a frame; None where an artifact is better kept as it is."""
    if len(artifact) > MOST_WHOLE_BYTES:
        return None
    frame: bytes = _library().compress(artifact, _LEVEL)
    return frame if len(frame) <= len(artifact) * (1 - _LEAST_GAIN) else None


def _library() -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        raise DatabaseError(
            "cannot use compressed packs: zstandard is not installed",
            fix="pip install 'ptutils[zstd]'",
        ) from error
