"""Run: one stored run, to be read, and the verbs that begin with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ptutils.core.records.checkpoint import Checkpoint, decode_fields
from ptutils.core.records.checkpoints import checkpoint_at, checkpoints_of, place_of
from ptutils.core.records.difference import Difference, difference_of
from ptutils.core.records.lineage import Lineage
from ptutils.core.records.moving.copying import Progress, copy_runs
from ptutils.core.records.series import history_of, visible_chunks
from ptutils.core.records.shape import RUN, check
from ptutils.core.records.source import unfolded
from ptutils.core.records.upkeep import deletion
from ptutils.core.records.verbs import labels, requests, starting
from ptutils.core.records.verbs.starting import Building
from ptutils.core.renaming import Rename
from ptutils.core.restoring.part import Mode, Part
from ptutils.core.results.page import run_html
from ptutils.core.selecting import Select
from ptutils.meta.config import Config
from ptutils.meta.history import History
from ptutils.meta.state import State
from ptutils.meta.status import Status
from ptutils.meta.values import Document, Value

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface
    from ptutils.core.session import Session

__all__ = ["Run"]


class Run:
    """One run as it stood in the database when it was read.

    Attributes:
        db: The database that it was read from.
        id: Its key; sorts by time.
        experiment: The group it belongs to.
        tags: Words it can be found by.
        notes: What somebody wrote about it.
        document: The stored document, plain.
    """

    def __init__(self, db: DBInterface, document: Document) -> None:
        self.db = db
        self._read(document)

    @property
    def config(self) -> Config:
        """What was built."""
        return Config(self._decoded("config")["config"])

    @property
    def source(self) -> Document:
        """The commit, packages, command and host that it came from."""
        return unfolded(self._decoded("source")["source"])

    @property
    def lineage(self) -> Lineage:
        """What it descends from; called, the tree of its family: ``run.lineage()``."""
        # Its overrides may be parts of the config.
        decoded = self._decoded("config", "lineage")
        return Lineage(decoded["lineage"], self.db, self.id)

    @property
    def summary(self) -> State:
        """First, last, least and greatest value of every metric, with their steps.

        Such as ``run.summary.valid.accuracy.max``.
        """
        return State(self.document["summary"])

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
        return checkpoints_of(self.db, self.id)

    def newest(self) -> Checkpoint | None:
        """Return the newest complete checkpoint, or None."""
        found = checkpoints_of(self.db, self.id, newest_first=True, limit=1)
        return found[0] if found else None

    def checkpoint(self, step: int) -> Checkpoint:
        """Return the newest checkpoint taken at ``step``.

        Raises:
            NotFoundError: If there is none; the message lists the steps that have one.
        """
        return checkpoint_at(self.db, self.id, step)

    def history_until(self, checkpoint: Checkpoint | None) -> History:
        """Return the History as it was when ``checkpoint`` was taken."""
        segments = self.document["segments"]
        return self._history(visible_chunks(segments, place_of(checkpoint)))

    def refresh(self) -> Run:
        """Return the run as it stands in the database now."""
        return Run(self.db, self.db._one("runs", {"_id": self.id}))

    def resume(
        self,
        config: Mapping[str, Value] | None = None,
        *,
        step: int | None = None,
        fallback: bool = False,
        trust: Iterable[str] = (),
        provide: Mapping[str, Value] | None = None,
    ) -> Session:
        """Return a Session that goes on with this run, from its newest checkpoint.

        Args:
            config: Changes by dotted path, say ``{"schedule.duration": "40 epochs"}``.
            step: Go back to the checkpoint of this step; later points leave History.
            fallback: Go back further where that one is damaged; the log says how far.
            trust: Packages of the caller's whose classes the config names.
            provide: Objects for what the config cannot build, by dotted path.

        Raises:
            ConfigError: If the config cannot be built.
            StateMismatchError: If the State does not fit the changed config.
            CorruptError: If the checkpoint is damaged, or with ``fallback`` all are.
            NotFoundError: If there is no checkpoint at ``step``.
            DatabaseError: If this is only what was put aside while the run's database
                was out of reach.
            StatusError: If the run was an evaluation.
        """
        building = Building(changes=config or {}, trust=trust, provide=provide)
        return starting.resume(self, step, building, fallback=fallback)

    def branch(  # noqa: PLR0913 - all of them about what the new run begins with
        self,
        config: Mapping[str, Value] | None = None,
        *,
        step: int | None = None,
        select: Select | None = None,
        rename: Rename | None = None,
        missing: str | None = None,
        unexpected: str | None = None,
        mismatched: str | None = None,
        db: DBInterface | str | None = None,
        trust: Iterable[str] = (),
        provide: Mapping[str, Value] | None = None,
    ) -> Session:
        """Return a Session for a new run that starts at a checkpoint of this one.

        With ``select``, ``rename`` or a mode it takes over a part: what the State lacks
        stays as it is built anew, so that other settings may name other classes::

            run.branch({"trainer.model.optimizer": sgd}, select="trainer.model.net")

        ``load_report`` of the Session then tells what was loaded and what was not.
        Counters and random streams are parts of the State too: where they are not
        selected, training begins at step 0 with the seed.

        Args:
            config: Changes by dotted path: ``{"trainer.model.optimizer.lr": 0.001}``.
                They hold from the first step on: what the State says otherwise (the
                learning rate kept by an optimizer) gives way.
            step: Whose checkpoint; the newest by default.
            select: What to take over, as ``load_state_dict`` takes it.
            rename: Old paths to new ones, likewise.
            missing: What to do about selected paths that the State lacks: ``"error"``,
                ``"warn"``, ``"skip"`` (of a part the default) or ``"initialize"``.
            unexpected: About those that the new tree lacks, by default ``"skip"``.
            mismatched: About those that do not fit, by default ``"error"``.
            db: Where the new run is kept: another database or its URL.
            trust: Packages of the caller's whose classes the config names.
            provide: Objects for what the config cannot build, by dotted path.

        Raises:
            ConfigError: If the config cannot be built, or a mode is unknown.
            StateMismatchError: If the State does not fit the changed config, or
                ``select`` or ``rename`` names nothing of it.
            NotFoundError: If the run has no checkpoint, or none at ``step``.
        """
        building = Building(changes=config or {}, trust=trust, provide=provide, db=db)
        asked = (select, rename, missing, unexpected, mismatched)
        part = None
        if any(each is not None for each in asked):
            part = Part(
                select="*" if select is None else select,
                rename=rename,
                missing=missing or Mode.SKIP,
                unexpected=unexpected or Mode.SKIP,
                mismatched=mismatched or Mode.ERROR,
            )
        return starting.branch(self, step, building, part)

    def restart(
        self,
        config: Mapping[str, Value] | None = None,
        *,
        db: DBInterface | str | None = None,
        trust: Iterable[str] = (),
        provide: Mapping[str, Value] | None = None,
    ) -> Session:
        """Return a Session for a new run from this one's newest config alone.

        Args:
            config: Changes by dotted path.
            db: Where the new run is kept: another database or its URL.
            trust: Packages of the caller's whose classes the config names.
            provide: Objects for what the config cannot build, by dotted path.

        Raises:
            ConfigError: If the config cannot be built.
        """
        building = Building(changes=config or {}, trust=trust, provide=provide, db=db)
        return starting.restart(self, building)

    def evaluate(
        self,
        config: Mapping[str, Value] | None = None,
        *,
        step: int | None = None,
        split: str = "valid",
        db: DBInterface | str | None = None,
        trust: Iterable[str] = (),
        provide: Mapping[str, Value] | None = None,
    ) -> Session:
        """Return a Session whose ``run()`` measures a checkpoint of this run once.

        What it measures is recorded as a run of its own, linked to this one: metrics
        ``<split>.<name>`` at the checkpoint's step. Nothing is trained.

        Args:
            config: Changes by dotted path, say of the data.
            step: Whose checkpoint; the newest by default.
            split: The data to measure on.
            db: Where the new run is kept: another database or its URL.
            trust: Packages of the caller's whose classes the config names.
            provide: Objects for what the config cannot build, by dotted path.

        Raises:
            ConfigError: If the config cannot be built.
            StateMismatchError: If the model's State does not fit the changed config.
            NotFoundError: If the run has no checkpoint, or none at ``step``.
        """
        building = Building(changes=config or {}, trust=trust, provide=provide, db=db)
        return starting.evaluate(self, step, split, building)

    def diff(self, other: Run) -> Difference:
        """Return where config, source and summary of two runs differ."""
        return difference_of(self, other)

    def tag(self, *words: str) -> None:
        """Add words that the run can be found by, in the database at once.

        Raises:
            QueryError: If one of them is no text.
        """
        labels.tag(self.db, self.id, words)
        self._reread()

    def untag(self, *words: str) -> None:
        """Take words away again; those that it does not have are passed over.

        Raises:
            QueryError: If one of them is no text.
        """
        labels.untag(self.db, self.id, words)
        self._reread()

    def note(self, text: str) -> None:
        """Replace the run's notes by ``text``."""
        labels.relabel(self.db, self.id, {"$set": {"notes": text}})
        self._reread()

    def archive(self) -> None:
        """Leave the run out of lists that do not ask for archived ones."""
        labels.relabel(self.db, self.id, {"$set": {"archived": True}})
        self._reread()

    def unarchive(self) -> None:
        """Undo :meth:`archive`."""
        labels.relabel(self.db, self.id, {"$set": {"archived": False}})
        self._reread()

    def pin(self, step: int | None = None) -> None:
        """Keep a checkpoint whatever the schedule drops.

        Args:
            step: Whose; the newest by default.

        Raises:
            NotFoundError: If there is none.
        """
        chosen = self.newest() if step is None else self.checkpoint(step)
        labels.pin(self.db, self.id, chosen)

    def unpin(self, step: int | None = None) -> None:
        """Let the schedule drop the checkpoints of a step again, or all by default."""
        labels.unpin(self.db, self.id, step)

    def delete(self) -> None:
        """Delete the run with all that only it needs.

        Its descendants stay, and their lineage says that their parent is gone. Tensors
        stored within the last hour leave with the next ``ptutils gc``.

        Raises:
            LeaseError: If a process is writing it.
            DatabaseError: If one of its checkpoints is pinned.
        """
        deletion.delete(self.db, self.id)

    def stop(self, reason: str = "") -> None:
        """Ask the process that writes this run to save and end it as interrupted.

        It sees this at its next heartbeat; see :meth:`wait`.

        Args:
            reason: Why, in words for a person.

        Raises:
            StatusError: If no process is writing the run.
        """
        requests.ask(self.db, self.id, "stop", reason)

    def pause(self) -> None:
        """Ask the process that writes this run to save and wait; as :meth:`stop`."""
        requests.ask(self.db, self.id, "pause")

    def go_on(self) -> None:
        """Ask the process that paused this run to go on; as :meth:`stop`."""
        requests.ask(self.db, self.id, "go on")

    def ask_for_checkpoint(self) -> None:
        """Ask the process that writes this run to save it; as :meth:`stop`."""
        requests.ask(self.db, self.id, "checkpoint")

    def wait(self, timeout_s: float = 60.0) -> bool:
        """Wait until what was asked was seen; tell whether it was seen in time."""
        return requests.wait_until_seen(self.db, self.id, timeout_s)

    def export(
        self, target: DBInterface | str, *, progress: Progress | None = None
    ) -> Run:
        """Copy this run into another database, and return it as it is there.

        As :meth:`DBInterface.import_runs`.

        Args:
            target: A database or its URL; it is made if it is not there.
            progress: Called with the run's id, and how many parts of how many are done.
        """
        (copy,) = copy_runs(self.db, target, [self.id], progress)
        return copy

    def __repr__(self) -> str:
        phase = self.document["status"]["phase"]
        return f"Run({self.id!r}, {self.experiment!r}, {phase})"

    def _repr_html_(self) -> str:
        return run_html(self)

    def _read(self, document: Document) -> None:
        check(document, RUN, "runs")
        self.document = document
        self.id: str = document["_id"]
        self.experiment: str = document["experiment"]
        self.tags: list[str] = document["tags"]
        self.notes: str = document["notes"]

    def _reread(self) -> None:
        self._read(self.db._one("runs", {"_id": self.id}))

    def _history(self, visible: Mapping[int, int | None]) -> History:
        return history_of(self.db._find("history", {"run": self.id}), visible)

    def _decoded(self, *names: str) -> Document:
        return decode_fields(self.db, self.document, names)
