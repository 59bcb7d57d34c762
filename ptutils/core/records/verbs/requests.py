"""What one process asks of another that writes a run: stop, pause, go on, save.

The request is a field of the run's document; the writer reads it at its next heartbeat
and clears it.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

from ptutils.core.records.document import new_id
from ptutils.core.records.identity import is_expired, now
from ptutils.core.records.living import ALIVE
from ptutils.errors import StatusError
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface

__all__ = ["ask", "wait_until_seen"]

_LOOK_S = 0.1


def ask(db: DBInterface, run_id: str, verb: str, reason: str = "") -> None:
    """Leave a request with a living run; it takes the place of one not yet seen.

    Args:
        db: Where the run is.
        run_id: Which.
        verb: ``stop``, ``pause``, ``go on`` or ``checkpoint``.
        reason: Why, in words for a person.

    Raises:
        NotFoundError: If there is no such run.
        StatusError: If no process writes the run.
    """
    document = db._one("runs", {"_id": run_id})
    request = {
        "verb": verb,
        "by": {"host": socket.gethostname(), "pid": os.getpid()},
        "at": now(),
        "id": new_id(),
        "reason": reason,
    }
    held = not is_expired(document["lease"])
    alive = {"_id": run_id, "status.phase": ALIVE}
    if held and db._update("runs", alive, {"$set": {"request": request}}):
        return
    raise StatusError(
        f"cannot ask run {run_id!r} to {verb}",
        expected="a run that a process is writing",
        got=_phase_of(document),
        fix="resume it first" if verb == "go on" else "nothing: it does not run",
    )


def wait_until_seen(db: DBInterface, run_id: str, timeout_s: float) -> bool:
    """Wait until a run has seen what was asked of it; tell whether it did in time.

    A run that ended or died meanwhile will not see it.
    """
    until = time.monotonic() + timeout_s
    while True:
        document = db._one("runs", {"_id": run_id})
        if document.get("request") is None:
            return True
        if is_expired(document["lease"]) or time.monotonic() >= until:
            return False
        time.sleep(_LOOK_S)


def _phase_of(document: Document) -> str:
    phase = str(document["status"]["phase"])
    return "lost" if phase in ALIVE["$in"] else phase
