"""File formats, one file each; a suffix chooses among them."""

from __future__ import annotations

from ptutils.meta.formats.table import read, register_format, write

__all__ = ["read", "register_format", "write"]
