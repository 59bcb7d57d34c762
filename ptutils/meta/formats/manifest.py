"""The manifest: what a file holds beside the bytes of its artifacts.

It is the canonical JSON text of ``{blake3, document, types, names}``: the plain form,
the sidecar, and under which name the file has each artifact. The digest is that of the
text without ``blake3``, followed by the artifacts in order, so that not one bit of a
file changes unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from blake3 import blake3

from ptutils.errors import DecodeError
from ptutils.meta.codec import Buffer, Encoded, decode, dumps, loads
from ptutils.meta.values import Document, Value

__all__ = ["BEGINNING", "brought_back", "manifest_of"]

BEGINNING: Final = '{"blake3":"'
"""How each manifest begins, by which it is known under a damaged name."""

_PARTS: Final = {"blake3", "document", "types", "names"}


def manifest_of(encoded: Encoded, names: Sequence[str]) -> str:
    """Return the manifest of a value.

    Args:
        encoded: The value.
        names: That of each artifact in the file.
    """
    told = {
        "document": encoded.document,
        "types": encoded.types,
        "names": list(names),
    }
    return dumps({"blake3": _digest(told, encoded.artifacts), **told})


def brought_back(path: Path, manifest: str, content: Callable[[str], Buffer]) -> Value:
    """Return the value of a file, after checking every bit of it.

    Args:
        path: The file, for errors.
        manifest: As :func:`manifest_of` wrote it.
        content: From a name to the bytes that the file has under it; raises KeyError if
            there are none.

    Raises:
        DecodeError: If anything is not as it was written.
    """
    told = _told(path, manifest)
    digest = told.pop("blake3")
    try:
        artifacts = tuple(map(content, told["names"]))
    except KeyError as error:
        raise DecodeError(
            f"cannot read {path}",
            expected="all that its manifest names",
            got=f"nothing under {error.args[0]!r:.60}",
        ) from error
    if _digest(told, artifacts) != digest:
        raise DecodeError(
            f"cannot read {path}: it is damaged, or was changed by another tool",
            expected=f"content whose blake3 is {digest!r:.70}",
            fix="take it from a copy, or save it again",
        )
    return decode(
        Encoded(document=told["document"], types=told["types"], artifacts=artifacts)
    )


def _told(path: Path, manifest: str) -> Document:
    try:
        told = loads(manifest)
    except DecodeError:
        told = manifest
    if type(told) is dict and told.keys() == _PARTS and type(told["types"]) is str:
        names = told["names"]
        if type(names) is list and all(type(name) is str for name in names):
            return told
    raise DecodeError(
        f"cannot read {path}",
        expected="a manifest of blake3, document, types and names",
        got=f"{told!r:.60}",
    )


def _digest(told: Document, artifacts: Iterable[Buffer]) -> str:
    hasher = blake3(dumps(told).encode())
    for artifact in artifacts:
        hasher.update(artifact)
    return hasher.hexdigest()
