"""Run: one stored run, to be read, resumed and branched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ptutils.core.catalogue import find
from ptutils.core.records.checkpoint import (
    OLDEST_FIRST,
    STATE_HIDDEN,
    Checkpoint,
    decode_fields,
)
from ptutils.core.records.series import history_of, visible_chunks
from ptutils.core.records.settings import changes_kept
from ptutils.errors import ConfigError, NotFoundError
from ptutils.meta.config import Config
from ptutils.meta.history import History
from ptutils.meta.state import State
from ptutils.meta.status import Status
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface
    from ptutils.core.session import Session

__all__ = ["Run", "new_lineage", "place_of"]

_ENCODED = ("config", "source", "lineage")


class Run:
    """One run as it stood in the database when it was read.

    Attributes:
        id: Its key; sorts by time.
        experiment: The group it belongs to.
        summary: First, last, least and greatest value of every metric, with steps:
            ``run.summary.valid.accuracy.max``.
        tags: Words it can be found by.
        document: The stored document, plain.
    """

    def __init__(self, db: DBInterface, document: Document) -> None:
        self._db = db
        self.document = document
        self.id: str = document["_id"]
        self.experiment: str = document["experiment"]
        self.summary = State(document["summary"])
        self.tags: list[str] = document["tags"]

    @property
    def config(self) -> Config:
        """What was built."""
        return Config(self._encoded()["config"])

    @property
    def source(self) -> Document:
        """The commit, packages, command and host that it came from."""
        return dict(self._encoded()["source"])

    @property
    def lineage(self) -> Document:
        """``verb``, ``parent`` (a run), ``checkpoint`` and ``overrides``."""
        return dict(self._encoded()["lineage"])

    @property
    def status(self) -> Status:
        """Its phase and progress when it was read."""
        status = Status()
        status.load_state_dict(self.document["status"])
        return status

    @property
    def history(self) -> History:
        """Every metric by step, each step once; read from the database."""
        return self._history(visible_chunks(self.document["segments"]))

    @property
    def segments(self) -> list[History]:
        """What each process recorded, one History for the first and one per resume.

        Points that a resume went back behind are here, and no longer in ``history``.
        """
        count = len(self.document["segments"])
        return [self._history({number: None}) for number in range(count)]

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Its checkpoints, oldest first."""
        return self._checkpoints({})

    def newest(self) -> Checkpoint | None:
        """Return the newest complete checkpoint, or None."""
        found = self._checkpoints({}, newest_first=True, limit=1)
        return found[0] if found else None

    def checkpoint(self, step: int) -> Checkpoint:
        """Return the newest checkpoint taken at ``step``.

        Raises:
            NotFoundError: If there is none; the message lists the steps that have one.
        """
        found = self._checkpoints({"step": step}, newest_first=True, limit=1)
        if not found:
            steps = sorted({checkpoint.step for checkpoint in self.checkpoints})
            raise NotFoundError(
                f"run {self.id!r} has no checkpoint at step {step}",
                expected=f"one of the steps {', '.join(map(str, steps))}"
                if steps
                else "a run that was saved at least once",
                got=f"step {step}" if steps else "no checkpoint at all",
                fix="choose one of these, or save more often: schedule.checkpoint"
                if steps
                else "start anew from its config",
            )
        return found[0]

    def history_until(self, checkpoint: Checkpoint | None) -> History:
        """Return the History as it was when ``checkpoint`` was taken."""
        segments = self.document["segments"]
        return self._history(visible_chunks(segments, place_of(checkpoint)))

    def refresh(self) -> Run:
        """Return the run as it stands in the database now."""
        return Run(self._db, self._db._one("runs", {"_id": self.id}))

    def resume(
        self,
        config: Mapping[str, Value] | None = None,
        *,
        step: int | None = None,
        trust: Iterable[str] = (),
        provide: Mapping[str, Value] | None = None,
    ) -> Session:
        """Return a Session that goes on with this run, from its newest checkpoint.

        Args:
            config: Changes by dotted path, say ``{"schedule.duration": "40 epochs"}``.
            step: Go back to the checkpoint of this step; later points leave History.
            trust: Packages of the caller's whose classes the config names.
            provide: Objects for what the config cannot build, by dotted path.

        Raises:
            ConfigError: If the config cannot be built.
            StateMismatchError: If the State does not fit the changed config.
            NotFoundError: If there is no checkpoint at ``step``.
        """
        run = self.refresh()
        checkpoint = run.newest() if step is None else run.checkpoint(step)
        before = run._config_at(checkpoint)
        # A resume that was killed before it saved anything had settings of its own.
        was_changed = step is None and run._is_before_last_resume(checkpoint)
        base = run.config if was_changed else before
        session: Session = run._build(base, config or {}, trust, provide)
        with changes_kept(session, before):
            session.go_on_from(run, checkpoint)
        return session

    def branch(
        self,
        config: Mapping[str, Value] | None = None,
        *,
        step: int | None = None,
        trust: Iterable[str] = (),
        provide: Mapping[str, Value] | None = None,
    ) -> Session:
        """Return a Session for a new run that starts at a checkpoint of this one.

        Args:
            config: Changes by dotted path: ``{"trainer.model.optimizer.lr": 0.001}``.
                They hold from the first step on: what the State says otherwise (the
                learning rate kept by an optimizer) gives way.
            step: Whose checkpoint; the newest by default.
            trust: Packages of the caller's whose classes the config names.
            provide: Objects for what the config cannot build, by dotted path.

        Raises:
            ConfigError: If the config cannot be built.
            StateMismatchError: If the State does not fit the changed config.
            NotFoundError: If the run has no checkpoint, or none at ``step``.
        """
        run = self.refresh()
        checkpoint = run.newest() if step is None else run.checkpoint(step)
        if checkpoint is None:
            raise NotFoundError(
                f"run {self.id!r} has no checkpoint to branch from",
                expected="a run that was saved at least once",
                got="none",
                fix="start anew from its config",
            )
        before = run._config_at(checkpoint)
        session: Session = run._build(before, config or {}, trust, provide)
        lineage = {
            "verb": "branch",
            "parent": self.id,
            "checkpoint": checkpoint.id,
            "overrides": dict(config or {}),
        }
        with changes_kept(session, before):
            session.go_on_from(run, checkpoint, lineage=lineage)
        return session

    def __repr__(self) -> str:
        phase = self.document["status"]["phase"]
        return f"Run({self.id!r}, {self.experiment!r}, {phase})"

    def _build(
        self,
        config: Config,
        changes: Mapping[str, Value],
        trust: Iterable[str],
        provide: Mapping[str, Value] | None,
    ) -> Any:
        for path in changes:
            if path.partition(".")[0] == "dbinterface":
                raise ConfigError(
                    "cannot move a run to another database",
                    path=path,
                    expected="changes of other settings",
                    got=f"{path}={changes[path]!r}",
                    fix="leave it out: a run goes on where it is kept",
                )
        config = Config({**config.override(changes), "dbinterface": None})
        provided = {"dbinterface": self._db, **(provide or {})}
        return find("build")(config, trust=trust, provide=provided)

    def _config_at(self, checkpoint: Checkpoint | None) -> Config:
        """Return the config that a checkpoint was taken under."""
        if checkpoint is None:
            return self.config
        if checkpoint.config is not None:
            return checkpoint.config
        for segment in self.document["segments"][checkpoint.segment :]:
            if "config" in segment:
                return Config(decode_fields(self._db, segment, ["config"])["config"])
        return self.config

    def _is_before_last_resume(self, checkpoint: Checkpoint | None) -> bool:
        last = len(self.document["segments"]) - 1
        return checkpoint is None or checkpoint.segment < last

    def _checkpoints(
        self, filter: Document, *, newest_first: bool = False, limit: int = 0
    ) -> list[Checkpoint]:
        sign = -1 if newest_first else 1
        found = self._db._find(
            "checkpoints",
            {"run": self.id, **filter},
            sort=[(path, sign) for path, _ in OLDEST_FIRST],
            limit=limit,
            projection=STATE_HIDDEN,
        )
        return [Checkpoint(self._db, document) for document in found]

    def _history(self, visible: Mapping[int, int | None]) -> History:
        return history_of(self._db._find("history", {"run": self.id}), visible)

    def _encoded(self) -> Document:
        return decode_fields(self._db, self.document, _ENCODED)


def new_lineage() -> Document:
    """Return the lineage of a run that descends from no other."""
    return {"verb": "new", "parent": None, "checkpoint": None, "overrides": {}}


def place_of(checkpoint: Checkpoint | None) -> Document:
    """Return the place in a run's History where a checkpoint was taken."""
    if checkpoint is None:
        return {"segment": 0, "chunks": 0}
    return {"segment": checkpoint.segment, "chunks": checkpoint.chunks}
