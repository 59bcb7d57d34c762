"""What a value becomes: document, sidecar and artifacts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

from ptutils.meta.values import Value

__all__ = ["Buffer", "Encoded"]

Buffer: TypeAlias = bytes | memoryview
"""Bytes in memory: C-contiguous and one-dimensional."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoded:
    """A value in its stored form.

    Attributes:
        document: The plain form, natural to query; a scalar or list where the value
            was one.
        types: The canonical JSON text of what the plain form cannot tell; ``""`` where
            plain values suffice.
        artifacts: The bytes of storages, referred to by position from ``types``. They
            alias live arrays and tensors where possible: copy or write them at once.
    """

    document: Value
    types: str = ""
    artifacts: Sequence[Buffer] = ()
