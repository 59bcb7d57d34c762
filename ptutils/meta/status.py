"""Status: the phase, progress and failure of one run, as plain values.

The phases and the ways between them::

    created ─> running <─> paused
       │         │  │       │  │
       │         │  └───────┼──┴─> lost ────────┐
       │         ├──────────┼────> completed ───┼─> running, resumed or extended
       └─────────┴──────────┴────> failed ──────┤
                                   interrupted ─┘
"""

from __future__ import annotations

import copy
import os
import socket
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

from ptutils.errors import StateMismatchError, StatusError, nearest
from ptutils.meta.metamodule import MetaModule
from ptutils.meta.values import Document, Value

__all__ = ["Origin", "Phase", "Status"]


class Phase(StrEnum):
    """Where a run is in its life."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    LOST = "lost"


class Origin(StrEnum):
    """What a run came from."""

    NEW = "new"
    RESUMED = "resumed"
    BRANCHED = "branched"
    RESTARTED = "restarted"
    EVALUATED = "evaluated"


_ENDS = {Phase.FAILED, Phase.INTERRUPTED}
_AGAIN = {Phase.RUNNING}
_LEGAL: Final[Mapping[Phase, set[Phase]]] = {
    Phase.CREATED: {Phase.RUNNING, *_ENDS},
    Phase.RUNNING: {Phase.PAUSED, Phase.COMPLETED, Phase.LOST, *_ENDS},
    Phase.PAUSED: {Phase.RUNNING, Phase.LOST, *_ENDS},
    Phase.COMPLETED: _AGAIN,
    Phase.FAILED: _AGAIN,
    Phase.INTERRUPTED: _AGAIN,
    Phase.LOST: _AGAIN,
}


class Status(MetaModule):
    """What one run is doing, kept as plain values that a query can ask for.

    Attributes:
        phase: Where the run is in its life; changed by :meth:`to` alone.
        origin: What the run came from.
        progress: ``step``, ``epoch`` and the ``fraction`` done (None if unknown).
        eta_s: Seconds until the end at the speed so far, or None.
        host: Name of the machine that runs it, ``""`` before it ran.
        pid: Its process there, 0 before it ran.
        started: When it first ran, UTC with whole milliseconds.
        ended: When it last stopped, or None while it has not.
        heartbeat: When it last said that it lives.
        reason: Why it stopped, in words for a person.
        exception: ``type``, ``message`` and ``traceback`` of what failed it, or None.

    Example:
        >>> status = Status()
        >>> status.to("running")
        >>> status.advance(step=30, epoch=1, fraction=0.5)
        >>> status.to("completed", reason="all epochs done")
        >>> status(), status.progress["step"]
        (<Phase.COMPLETED: 'completed'>, 30)
    """

    def __init__(self) -> None:
        self._phase = Phase.CREATED
        self._since: tuple[float, float] | None = None
        self.origin = Origin.NEW
        self.progress: Document = {"step": 0, "epoch": 0, "fraction": None}
        self.eta_s: float | None = None
        self.host = ""
        self.pid = 0
        self.started: datetime | None = None
        self.ended: datetime | None = None
        self.heartbeat: datetime | None = None
        self.reason = ""
        self.exception: Document | None = None

    @property
    def phase(self) -> Phase:
        """Where the run is in its life."""
        return self._phase

    def check(self) -> Phase:
        """Return the phase."""
        return self._phase

    def __call__(self) -> Phase:
        """Return the phase; see :meth:`check`."""
        return self.check()

    def to(
        self,
        phase: Phase | str,
        reason: str = "",
        *,
        exception: BaseException | None = None,
    ) -> None:
        """Enter another phase; reads the clock, the host's name and the process id.

        Args:
            phase: One of those that the present phase may change to.
            reason: Why, in words for a person.
            exception: What failed the run; kept as text with its traceback.

        Raises:
            StatusError: If the change is illegal; it names the legal ones.
        """
        target = _member(Phase, phase)
        if target not in _LEGAL[self._phase]:
            raise StatusError(
                f"cannot change the run from {self._phase} to {target}",
                expected=" or ".join(p for p in Phase if p in _LEGAL[self._phase]),
                got=str(target),
            )
        self._phase = target
        self.reason = reason
        self.exception = None if exception is None else _described(exception)
        self.heartbeat = _now()
        if target is Phase.RUNNING:
            self._start(self.heartbeat)
        elif target is not Phase.PAUSED:
            self.ended, self.eta_s = self.heartbeat, None

    def advance(self, step: int, epoch: int, fraction: float | None = None) -> None:
        """Note how far the run is, and estimate its end; reads the monotonic clock.

        Args:
            step: Updates done.
            epoch: Full passes done.
            fraction: Part of the whole that is done, 0 to 1; None if unknown.
        """
        self.progress = {"step": step, "epoch": epoch, "fraction": fraction}
        self.eta_s = self._remaining_s(fraction)

    def beat(self) -> None:
        """Note that the run lives; reads the clock."""
        self.heartbeat = _now()

    def state_dict(self) -> Document:
        """Return all fields as a plain document, natural to query."""
        return {
            "phase": self._phase.value,
            "origin": self.origin.value,
            "progress": dict(self.progress),
            "eta_s": self.eta_s,
            "host": self.host,
            "pid": self.pid,
            "started": self.started,
            "ended": self.ended,
            "heartbeat": self.heartbeat,
            "reason": self.reason,
            "exception": self.exception and dict(self.exception),
        }

    def load_state_dict(self, state: Mapping[str, Value]) -> None:
        """Take over all fields, without asking whether the change is legal.

        Raises:
            StateMismatchError: If names are missing or unknown.
            StatusError: If the phase or origin is none of ours.
        """
        known = self.state_dict()
        is_mapping = isinstance(state, Mapping)
        if not is_mapping or state.keys() != known.keys():
            raise StateMismatchError(
                "cannot load a status",
                expected=", ".join(known),
                got=", ".join(map(str, state)) if is_mapping else type(state).__name__,
            )
        fields = dict(state)
        phase = _member(Phase, fields.pop("phase"))
        origin = _member(Origin, fields.pop("origin"))
        self.__dict__.update(copy.deepcopy(fields))
        self._phase, self.origin, self._since = phase, origin, None

    def __repr__(self) -> str:
        reached = f"step={self.progress['step']}, epoch={self.progress['epoch']}"
        return f"Status({self._phase}, {reached})"

    def _start(self, now: datetime) -> None:
        self.started = self.started or now
        self.ended = None
        self.host, self.pid = socket.gethostname(), os.getpid()
        # A resumed run is as fast as it is now; what was done before took other time.
        self._since = time.monotonic(), self.progress["fraction"] or 0.0

    def _remaining_s(self, fraction: float | None) -> float | None:
        if self._since is None or fraction is None:
            return None
        start_s, done_before = self._since
        done = fraction - done_before
        if done <= 0:
            return None
        return (time.monotonic() - start_s) * (1 - fraction) / done


_Kind = TypeVar("_Kind", Phase, Origin)


def _member(kind: type[_Kind], name: str) -> _Kind:
    names = [member.value for member in kind]
    if name in names:
        return kind(name)
    near = nearest(str(name), names)
    raise StatusError(
        f"cannot understand the {kind.__name__.lower()} of a run",
        expected=", ".join(names),
        got=repr(name),
        fix=f"did you mean {near!r}?" if near else "",
    )


def _described(exception: BaseException) -> Document:
    return {
        "type": type(exception).__qualname__,
        "message": _plain(str(exception)),
        "traceback": _plain("".join(traceback.format_exception(exception))),
    }


def _plain(text: str) -> str:
    """Write out what no database stores; this text is read by people only."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _now() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
