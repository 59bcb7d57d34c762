"""Names of runs, and who is writing one: host, process, and whether it still lives."""

from __future__ import annotations

import os
import secrets
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ptutils.core.records.shape import LEASE
from ptutils.meta.values import Document

__all__ = ["LEASE_S", "abandon", "is_expired", "new_lease", "new_run_id", "now"]

LEASE_S = 30.0
"""How long a lease holds, in seconds, after its owner last renewed it."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: sorts as it counts, and no letter is mistaken for another."""

_CHANCE_BITS = 23
"""With the seconds until 2106 these are 55 bits, 11 letters of 5."""

_PROC = Path("/proc")

_ABANDONED: set[str] = set()
"""Owners in this process that write no more, though a lease may say they do."""


def new_run_id() -> str:
    """Return a new id of 11 letters: the second it was made, then chance.

    Ids made later sort later, to the second; reads the clock and the system's
    randomness.
    """
    number = int(time.time()) << _CHANCE_BITS | secrets.randbits(_CHANCE_BITS)
    letters = ""
    for _ in range(11):
        number, digit = divmod(number, 32)
        letters = _ALPHABET[digit] + letters
    return letters


def now() -> datetime:
    """Return the time, UTC, in whole milliseconds as databases keep it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def new_lease(owner: str) -> Document:
    """Return a lease of this process, to be renewed before ``expires``.

    Args:
        owner: Tells apart several writers in one process.
    """
    _ABANDONED.discard(owner)
    return {
        "owner": owner,
        "host": socket.gethostname(),
        "boot": _boot(),
        "pid": os.getpid(),
        "born": _birth(os.getpid()),
        "expires": now() + timedelta(seconds=LEASE_S),
    }


def abandon(owner: str) -> None:
    """Take the leases of an owner for expired, here: the database was out of room, say.

    Other processes wait until they run out, or this process is gone.
    """
    _ABANDONED.add(owner)


def is_expired(lease: Document | None) -> bool:
    """Tell whether nobody holds a run: no lease, run out, or its process is gone.

    A process of this machine is looked up, so that a run killed a second ago can be
    resumed at once.
    """
    if lease is None or not LEASE.fits(lease) or lease["expires"] < now():
        return True
    if lease["owner"] in _ABANDONED:
        return True
    here: bool = lease["host"] == socket.gethostname() and lease["boot"] == _boot()
    return here and bool(lease["born"] != _birth(lease["pid"]))


def _boot(proc: Path = _PROC) -> str:
    """Identify this start of this machine and its process ids; "" where unknown."""
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text()
        return boot.strip() + os.readlink(proc / "self/ns/pid")
    except OSError:
        return ""


def _birth(pid: int, proc: Path = _PROC) -> int | None:
    """Return when a process started, in ticks since boot, or None if there is none.

    Where the system does not tell, it is the process's id, as long as there is one.

    Source: proc(5), field 22 of /proc/PID/stat, counted after the name in brackets.
    """
    try:
        # The name in brackets is whatever the process chose.
        text = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return pid if not _boot(proc) and _exists(pid) else None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
