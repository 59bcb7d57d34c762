"""Where a run came from: the code, the packages, the command and the machine."""

from __future__ import annotations

import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata

from ptutils.meta.values import Document

__all__ = ["capture_source"]

_PACKAGES = ("ptutils", "torch", "numpy", "torchmetrics")
_DIFF_LETTERS = 1 << 20


def capture_source() -> Document:
    """Describe the program that is running; asks git about the working directory.

    It never fails: what cannot be found out is left out.
    """
    source: Document = {
        "command": [_plain(word) for word in sys.argv],
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "packages": dict(_versions(_PACKAGES)),
    }
    commit = _git("rev-parse", "HEAD")
    if commit:
        source["commit"] = commit.strip()
        diff = _git("diff", "--no-ext-diff", "HEAD")
        if diff is not None:
            source["is_dirty"] = bool(diff)
        if diff is not None and len(diff) <= _DIFF_LETTERS:
            source["diff"] = _plain(diff)
    return source


def _versions(packages: Iterable[str]) -> list[tuple[str, str]]:
    versions = []
    for package in packages:
        try:
            versions.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git(*arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        result = subprocess.run(  # noqa: S603 - a fixed program and fixed arguments
            [program, *arguments],
            capture_output=True,
            check=True,
            text=True,
            errors="replace",
            timeout=5,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout


def _plain(text: str) -> str:
    """Write out what no database stores; people only read it."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
