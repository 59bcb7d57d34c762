"""Processes for attempts: new ones, of which nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from ptutils.meta.values import Document

__all__ = ["run_attempt"]

_PROGRAM: Final = "from ptutils.core.verification.attempt import main; main()"


def run_attempt(order: Document, log: Path) -> int:
    """Start a Python of its own on an attempt; wait for it, and end all it started.

    It imports from where this process does. An exception here, such as Ctrl-C, ends
    it, too.

    Args:
        order: See :func:`ptutils.core.verification.attempt.attempt`.
        log: The file for what it prints.

    Returns:
        Its exit code: below 0 the signal that killed it.
    """
    folders = [folder or str(Path.cwd()) for folder in sys.path]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - this very Python
            [sys.executable, "-P", "-c", _PROGRAM, json.dumps(order)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait()
        finally:
            with suppress(ProcessLookupError):  # Workers outlive a process killed.
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
