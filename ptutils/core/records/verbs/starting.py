"""Sessions out of stored runs: resume, branch, restart, evaluate.

Each verb rebuilds what the run's config describes, loads what it needs of a checkpoint,
and says in the lineage of the new run what it descends from.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from ptutils.core.catalogue import find
from ptutils.core.records.checkpoint import Checkpoint, decode_fields
from ptutils.core.records.lineage import new_lineage
from ptutils.core.records.settings import changes_kept
from ptutils.core.records.writing.taking_over import require_free
from ptutils.core.restoring.part import Part
from ptutils.core.selecting import selector
from ptutils.errors import (
    ConfigError,
    CorruptError,
    DatabaseError,
    NotFoundError,
    StatusError,
)
from ptutils.meta.config import Config
from ptutils.meta.status import Origin
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface
    from ptutils.core.records.run import Run
    from ptutils.core.session import Session

__all__ = ["Building", "branch", "evaluate", "restart", "resume"]

_LOG: Final = logging.getLogger("ptutils")
_TRIES: Final = 2
_COUNTED: Final = ("loaded", "missing", "unexpected", "mismatched", "initialized")
"""What a lineage says of a part that was taken over."""

_MEASURED: Final = Part(select=selector(["state", "trainer.state", "trainer.model"]))
"""What a measurement needs of a State: not where the data or the callbacks were."""


@dataclass(frozen=True, kw_only=True)
class Building:
    """How a run's config becomes a Session.

    Attributes:
        changes: Of the config, by dotted path.
        trust: Packages of the caller's whose classes the config names.
        provide: Objects for what the config cannot build, by dotted path.
        db: Where the new run is to be kept, if not beside the old one.
    """

    changes: Mapping[str, Value] = field(default_factory=dict)
    trust: Iterable[str] = ()
    provide: Mapping[str, Value] | None = None
    db: DBInterface | str | None = None

    def build(self, base: Config, home: DBInterface) -> Any:
        """Return the Session of a changed config.

        Args:
            base: The config to change.
            home: The database of the old run.
        """
        for path in self.changes:
            if path.partition(".")[0] == "dbinterface":
                raise ConfigError(
                    "cannot move a run to another database by its config",
                    path=path,
                    expected="changes of other settings",
                    got=f"{path}={self.changes[path]!r}",
                    fix="leave it out; a new run goes elsewhere with --to URL, or "
                    "branch(db=...)",
                )
        config = Config({**base.override(self.changes), "dbinterface": None})
        databases = self._databases(base.get("dbinterface"), home)
        provided = {"dbinterface": databases, **(self.provide or {})}
        built = find("build")(config, trust=self.trust, provide=provided)
        if not isinstance(built, find("Session")):
            raise ConfigError(
                "cannot go on with this config",
                expected="one that builds a Session",
                got=type(built).__name__,
                fix="restore the run from a copy",
            )
        return built

    def _databases(self, configured: Value, home: DBInterface) -> Value:
        """Return where to keep the Session's run: with those that kept the old one."""
        if self.db is not None:
            return find("connect")(self.db) if isinstance(self.db, str) else self.db
        if not isinstance(configured, list):
            return home
        every = [find("build")(each, trust=self.trust) for each in configured]
        others = [db for db in every if db.url != home.url]
        # Of a run that was copied here the others are somewhere else's.
        return [home, *others] if len(others) < len(every) else home


def resume(
    run: Run, step: int | None, building: Building, *, fallback: bool
) -> Session:
    """Return a Session that goes on with a run."""
    return _begun(lambda: _resume(run.refresh(), step, building, fallback=fallback))


def _resume(
    run: Run, step: int | None, building: Building, *, fallback: bool
) -> Session:
    require_free(run.document)
    _require_home(run)
    _require_trained(run)
    checkpoint = run.newest() if step is None else run.checkpoint(step)
    candidates = [checkpoint, *(_earlier(run, checkpoint) if fallback else [])]
    for each, earlier in pairwise(candidates):
        try:
            return _resume_at(run, each, step, building)
        except CorruptError as error:
            _LOG.warning("%s\nresuming from %r instead", error, earlier)
    return _resume_at(run, candidates[-1], step, building)


def _earlier(run: Run, checkpoint: Checkpoint | None) -> list[Checkpoint]:
    """Return the checkpoints before one, the newest first."""
    found = run.checkpoints
    ids = [each.id for each in found]
    place = ids.index(checkpoint.id) if checkpoint is not None else 0
    return found[:place][::-1]


def _resume_at(
    run: Run, checkpoint: Checkpoint | None, step: int | None, building: Building
) -> Session:
    before = _config_at(run, checkpoint)
    # A resume that was killed before it saved anything had settings of its own.
    was_changed = step is None and _is_before_last_resume(run, checkpoint)
    base = run.config if was_changed else before
    session: Session = building.build(base, run.db)
    with changes_kept(session, before):
        session.go_on_from(run, checkpoint)
    return session


def branch(
    run: Run, step: int | None, building: Building, part: Part | None
) -> Session:
    """Return a Session for a new run that starts at a checkpoint of a run.

    Args:
        run: To branch from.
        step: Of the checkpoint; None for the newest.
        building: How the new run differs.
        part: What to take over of the State; None for all of it, exactly.
    """
    return _begun(lambda: _branch(run.refresh(), step, building, part))


def _branch(
    run: Run, step: int | None, building: Building, part: Part | None
) -> Session:
    checkpoint = _require_checkpoint(run, step, "branch from")
    before = _config_at(run, checkpoint)
    session: Session = building.build(before, run.db)
    lineage = _lineage(run, checkpoint, "branch", building, session)
    with changes_kept(session, before):
        session.go_on_from(
            run, checkpoint, lineage=lineage, origin=Origin.BRANCHED, part=part
        )
    if part is not None and session.load_report is not None:
        report = session.load_report
        lineage["restored"] = {name: len(getattr(report, name)) for name in _COUNTED}
    return session


def restart(run: Run, building: Building) -> Session:
    """Return a Session for a new run from the config of a run alone."""
    run = run.refresh()
    session: Session = building.build(run.config, run.db)
    lineage = _lineage(run, None, "restart", building, session)
    session.go_on_from(run, None, lineage=lineage, origin=Origin.RESTARTED)
    return session


def evaluate(run: Run, step: int | None, split: str, building: Building) -> Session:
    """Return a Session that measures a checkpoint of a run, as a run of its own."""
    return _begun(lambda: _evaluate(run.refresh(), step, split, building))


def _evaluate(run: Run, step: int | None, split: str, building: Building) -> Session:
    checkpoint = _require_checkpoint(run, step, "evaluate")
    session: Session = building.build(_config_at(run, checkpoint), run.db)
    session.go_on_from(
        run,
        checkpoint,
        lineage=_lineage(run, checkpoint, "evaluate", building, session),
        origin=Origin.EVALUATED,
        part=_MEASURED,
    )
    session.measure_only(split)
    return session


def _begun(begin: Callable[[], Session]) -> Session:
    """Begin anew where a checkpoint was dropped between being found and being read."""
    for _ in range(_TRIES):
        with contextlib.suppress(NotFoundError):
            return begin()
    return begin()


def _require_home(run: Run) -> None:
    """Refuse to resume in a spill: the database that the run is of knows it better."""
    home = run.document.get("spilled_from")
    if home is not None:
        raise DatabaseError(
            f"cannot resume run {run.id!r} where it was only put aside",
            path=run.db.url,
            expected=f"the run in {home}, which was out of reach when this was written",
            got="what could not be written there",
            fix=f"ptutils import {run.db.url} --db {home}",
        )


def _require_trained(run: Run) -> None:
    """Refuse to train on as part of a run that was a measurement."""
    lineage = run.lineage
    if lineage["verb"] == "evaluate":
        raise StatusError(
            f"cannot resume run {run.id!r}, which only measured a checkpoint",
            expected="a run that trains",
            got=f"an evaluation of run {lineage['parent']!r}",
            fix="evaluate that run again, or resume it",
        )


def _require_checkpoint(run: Run, step: int | None, verb: str) -> Checkpoint:
    checkpoint = run.newest() if step is None else run.checkpoint(step)
    if checkpoint is None:
        raise NotFoundError(
            f"run {run.id!r} has no checkpoint to {verb}",
            expected="a run that was saved at least once",
            got="none",
            fix=f"start anew from its config: ptutils restart {run.id}",
        )
    return checkpoint


def _lineage(
    run: Run,
    checkpoint: Checkpoint | None,
    verb: str,
    building: Building,
    session: Session,
) -> Document:
    """Return what the new run descends from; the parent's database if it is another."""
    lineage = {
        **new_lineage(),
        "verb": verb,
        "parent": run.id,
        "checkpoint": None if checkpoint is None else checkpoint.id,
        "overrides": dict(building.changes),
    }
    for db in session.databases[:1]:
        if not db.exists({"_id": run.id}, "runs"):
            lineage["database"] = run.db.url
    return lineage


def _config_at(run: Run, checkpoint: Checkpoint | None) -> Config:
    """Return the config that a checkpoint was taken under."""
    if checkpoint is None:
        return run.config
    if checkpoint.config is not None:
        return checkpoint.config
    for segment in run.document["segments"][checkpoint.segment :]:
        if "config" in segment:
            return Config(decode_fields(run.db, segment, ["config"])["config"])
    return run.config


def _is_before_last_resume(run: Run, checkpoint: Checkpoint | None) -> bool:
    last = len(run.document["segments"]) - 1
    return checkpoint is None or checkpoint.segment < last
