"""Where a run came from: the code, the packages, the command and the machine."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from ptutils.core.backend import load_backend
from ptutils.meta.values import Document

__all__ = ["capture_source", "folded", "unfolded"]

_DIFF_LETTERS: Final = 1 << 20
_INLINE_BYTES: Final = 1 << 14
_PATIENCE_S: Final = 2.0
_CPU_INFO: Final = Path("/proc/cpuinfo")
_PASSWORD: Final = re.compile(r"(\w+://[^/:@\s]*):[^/\s]*@")
_USER: Final = re.compile(r"(?<=://)[^/\s]*@")
_INSTALLED: Final = re.compile(r"(.+)-([^-]+)\.dist-info")


def capture_source() -> Document:
    """Describe the program that is running; asks git about the working directory.

    It never fails: what cannot be found out is left out.
    """
    return {
        "command": [_PASSWORD.sub(r"\1:***@", _plain(word)) for word in sys.argv],
        "host": socket.gethostname(),
        "cpu": {"model": _cpu_model(), "count": os.cpu_count()},
        "gpus": _gpus(),
        "python": platform.python_version(),
        "packages": dict(sorted(_packages())),
        **_repository(),
    }


def folded(source: Document) -> Document:
    """Return what is stored of a source: a long diff as bytes.

    Bytes are kept beside the documents: once for all runs that have the same, and out
    of the way of those who list runs.
    """
    diff = source.get("diff", "").encode()
    return source if len(diff) <= _INLINE_BYTES else {**source, "diff": diff}


def unfolded(source: Document) -> Document:
    """Undo :func:`folded`."""
    diff = source.get("diff")
    return {**source, "diff": diff.decode()} if isinstance(diff, bytes) else source


def _repository() -> Document:
    """Return commit, branch, remote and changes; nothing outside of a repository."""
    head = _git("rev-parse", "HEAD", "--abbrev-ref", "HEAD")
    if head is None:
        return {}
    commit, branch = head.split()
    found: Document = {"commit": commit}
    if branch != "HEAD":  # Of a commit without a branch it says no more than this.
        found["branch"] = _plain(branch)
    remote = _git("ls-remote", "--get-url")
    if remote and remote.strip() != "origin":  # Its answer where there is none.
        found["remote"] = _USER.sub("", _plain(remote.strip()).partition("?")[0])
    diff = _git("diff", "--no-ext-diff", "--no-textconv", "HEAD")
    if diff is not None:
        found["is_dirty"] = bool(diff)
        if len(diff) <= _DIFF_LETTERS:
            found["diff"] = _plain(diff)
    return found


def _git(*arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        # Nothing that the repository's settings name is run, and no lock is taken.
        result = subprocess.run(  # noqa: S603 - a fixed program and fixed arguments
            [program, "-c", "core.fsmonitor=false", *arguments],
            capture_output=True,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout


def _packages() -> Iterator[tuple[str, str]]:
    """Yield name and version of every installed package that is imported."""
    imported = {name.partition(".")[0] for name in list(sys.modules)}
    for folder in sys.path:
        for installed in Path(folder or ".").glob("*.dist-info"):
            match = _INSTALLED.fullmatch(installed.name)
            if match and _is_any_of(imported, match[1], installed):
                yield re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]


def _is_any_of(imported: set[str], name: str, installed: Path) -> bool:
    module = re.sub(r"[-.]", "_", name)
    if module in imported or module.lower() in imported:
        return True  # As most are: nothing needs to be read.
    return not imported.isdisjoint(_modules(installed))


@functools.cache
def _modules(installed: Path) -> frozenset[str]:
    """Return the names under which what is installed is imported."""
    for name, pattern in (("top_level.txt", r"^\S+"), ("RECORD", r"^\w+(?=/|\.py,)")):
        with suppress(OSError):
            text = (installed / name).read_text(errors="replace")
            return frozenset(re.findall(pattern, text, re.MULTILINE))
    return frozenset()


def _cpu_model(info: Path = _CPU_INFO) -> str:
    """Return what the system calls its processor."""
    with suppress(OSError), info.open(errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """Return the names of the GPUs, if the program has begun to use them."""
    if "torch" not in sys.modules:
        return []
    return load_backend().accelerators()


def _plain(text: str) -> str:
    """Write out what no database stores; people only read it."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")
