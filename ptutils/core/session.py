"""Session: runs an experiment, and leaves in the database all that brings it back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from ptutils.core.backend import load_backend
from ptutils.core.catalogue import find
from ptutils.core.dbinterface import DBInterface
from ptutils.core.loop.schedule import Schedule
from ptutils.core.module import Module
from ptutils.core.records.checkpoint import Checkpoint
from ptutils.core.records.recorder import Recorder
from ptutils.core.records.run import Run, new_lineage, place_of
from ptutils.core.records.source import capture_source
from ptutils.core.signals import listening
from ptutils.core.trainer import Trainer
from ptutils.errors import PtutilsError
from ptutils.meta.config import Config
from ptutils.meta.status import Origin, Phase
from ptutils.meta.values import Document, Value

__all__ = ["Session"]


@dataclass(frozen=True, kw_only=True)
class _Start:
    """Where a run begins: anew, or at a checkpoint, of itself or of its parent."""

    origin: Origin = Origin.NEW
    run: Run | None = None
    checkpoint: Checkpoint | None = None
    lineage: Document = field(default_factory=new_lineage)

    @property
    def elapsed_s(self) -> float:
        return 0.0 if self.checkpoint is None else self.checkpoint.elapsed_s


class Session(Module):
    """Run an experiment on data, by a schedule, into a database.

    Args:
        trainer: Trains the model.
        dataprovider: Gives the batches of the splits ``train`` and ``valid``.
        dbinterface: Where the run is kept: a DBInterface or its URL; None for nowhere.
        schedule: How long to train; when to validate, save and drop checkpoints.
        experiment: A name that groups runs.
        seed: Of all randomness: Python's, numpy's, torch's and the data's.
        progress: Show progress bars on a terminal.
        tags: Words to find the run by.

    Example::

        session = ptutils.Session.from_meta(config="examples/digits.yaml")
        run = session.run()
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        dataprovider: Module,
        dbinterface: DBInterface | str | None = "runs.db",
        schedule: Schedule | None = None,
        experiment: str = "default",
        seed: int = 0,
        progress: bool = True,
        tags: list[str] | None = None,
    ) -> None:
        self.trainer = trainer
        self.dataprovider: Any = dataprovider
        self.dbinterface: DBInterface | None = (
            find("connect")(dbinterface)
            if isinstance(dbinterface, str)
            else dbinterface
        )
        self.schedule = schedule or Schedule()
        self.experiment = experiment
        self.seed = seed
        self.progress = progress
        self.tags = list(tags or ())
        provider: Any = dataprovider
        provider.adopt_seed(seed)
        self.state.random = None
        self._is_settled = True
        self._start = _Start()
        self._recorder: Recorder | None = None
        # One for all its recorders: after a fault of the database it may go on at once.
        self._owner = uuid.uuid4().hex
        self._stored_config: Config | None = None
        self._saved_at: tuple[int, int] | None = None
        self._asked_why = ""

    def __call__(self) -> Run | None:
        """Run; the same as :meth:`run`."""
        return self.run()

    @property
    def id(self) -> str | None:
        """The id of the run in the database, once there is one."""
        return None if self._recorder is None else self._recorder.run_id

    def run(self) -> Run | None:
        """Train until the schedule is over; record the run from start to end.

        It seeds the global random streams, writes to the database, and listens to
        Ctrl-C and SIGTERM: either finishes the step, saves, and raises.

        Returns:
            The run as it stands in the database; None without a database. One that is
            complete and has nothing more to do is returned as it is.

        Raises:
            CallbackError: If a callback or stage cannot be attached.
            ConfigError: If the model cannot be trained on this data as scheduled.
            LeaseError: If another process is writing this run.
            KeyboardInterrupt: After Ctrl-C; the run is saved and can be resumed.
            SystemExit: After SIGTERM, with code 143; saved likewise.
        """
        self._go_on_from_database()
        if self._is_complete():
            return self._start.run
        # What cannot work is said before there is a run that would have failed.
        self.trainer.check(
            self.dataprovider,
            schedule=self.schedule,
            session=self,
            registries=[self.callbacks],
        )
        self._begin()
        beating: AbstractContextManager[None] = nullcontext()
        if self._recorder is not None:
            beating = self._recorder.beating(self.trainer.interrupt)
        try:
            with beating, listening(self.trainer.interrupt) as signals:
                reason = self._train()
                signals.raise_if_any()
            self._finish(Phase.COMPLETED, reason)
        except BaseException as error:
            self._fail(error)
            raise
        return self._run

    def checkpoint(self, why: str = "manual") -> None:
        """Save the whole State. Nothing without a database.

        Called while training, say from a callback, it saves when the step in progress
        is complete, with all that reacts to it.

        Args:
            why: What for; part of the checkpoint.

        Raises:
            LeaseError: If the run has ended, or another process took it over.
        """
        if self.trainer.ask_for_checkpoint():
            self._asked_why = why
        else:
            self._save(why)

    def go_on_from(
        self,
        run: Run,
        checkpoint: Checkpoint | None,
        *,
        lineage: Document | None = None,
    ) -> None:
        """Take over the State of a checkpoint; :meth:`run` then goes on from there.

        Args:
            run: The run to go on with, or with ``lineage`` the parent of a new one.
            checkpoint: Whose State to load; None starts at the beginning.
            lineage: What the new run descends from; None goes on with ``run`` itself.

        Raises:
            StateMismatchError: If the State does not fit; nothing is changed.
        """
        if checkpoint is not None:
            self.load_state_dict(checkpoint.state)
        if lineage is not None:
            self._start = _Start(
                origin=Origin.BRANCHED, checkpoint=checkpoint, lineage=lineage
            )
            return
        self.status.load_state_dict(run.status.state_dict())
        self.history.load_state_dict(run.history_until(checkpoint).state_dict())
        self.history.take()  # These points are in the database already.
        self._start = _Start(
            origin=Origin.RESUMED, run=run, checkpoint=checkpoint, lineage=run.lineage
        )
        if checkpoint is not None:
            self._saved_at = checkpoint.step, checkpoint.epoch

    @classmethod
    def _before_build(cls, arguments: Mapping[str, Value]) -> None:
        seed = arguments.get("seed", 0)
        load_backend().seed(seed if isinstance(seed, int) else 0)

    def _before_save(self) -> None:
        # Between loading and the first step the loaded streams count, not the present.
        if self._is_settled:
            self.state.random = self.trainer.model.backend.random_state()

    def _after_load(self) -> None:
        self._is_settled = False

    def _begin(self) -> None:
        """Enter the phase running, and create or take over the run in the database."""
        if self.status.phase in (Phase.RUNNING, Phase.PAUSED):
            self.status.to(Phase.LOST)  # Its process died; this one goes on.
        start = self._start
        self.status.origin = start.origin
        self.status.to(Phase.RUNNING)
        if start.checkpoint is None:
            self.trainer.model.backend.seed(self.seed)
            self.state.random = self.trainer.model.backend.random_state()
        if self.dbinterface is None:
            return
        self._stored_config = self.config
        encoded = {
            "config": self._stored_config.state_dict(),
            "source": capture_source(),
            "lineage": start.lineage,
        }
        recorder = Recorder(
            self.dbinterface, self.history, self._current_status, self._owner
        )
        fields = {"experiment": self.experiment, "tags": self.tags}
        if start.run is None:
            recorder.create({**fields, "notes": ""}, encoded)
        else:
            place = place_of(start.checkpoint)
            recorder.acquire(start.run.id, fields, encoded, place)
        self._recorder = recorder

    def _is_complete(self) -> bool:
        trainer, start = self.trainer, self._start
        return self.status.phase is Phase.COMPLETED and (
            start.run is not None
            and self.schedule.is_over(trainer.step, trainer.epoch, start.elapsed_s)
        )

    def _go_on_from_database(self) -> None:
        """Go back to the newest checkpoint: what is in memory may be half a step."""
        run, self._recorder = self._run, None
        if run is not None:
            self.go_on_from(run, run.newest())

    def _train(self) -> str:
        """Train; return why it ended, with everything up to then saved."""
        if self._start.run is None:
            self._save("start")
        with self._watched():
            reason = self.trainer.train(
                self.dataprovider,
                schedule=self.schedule,
                session=self,
                registries=[self.callbacks],
                elapsed_s=self._start.elapsed_s,
                settle=self._settle,
                save=self._save,
            )
        if reason or self._saved_at != (self.trainer.step, self.trainer.epoch):
            self._save("last")
        return reason

    def _save(self, why: str) -> None:
        """Save between two steps; durable when this returns."""
        recorder, trainer = self._recorder, self.trainer
        if recorder is None:
            return
        why, self._asked_why = self._asked_why or why, ""
        config = self.config
        recorder.checkpoint(
            self.state_dict(),
            {
                "step": trainer.step,
                "epoch": trainer.epoch,
                "why": why,
                "metrics": trainer.metrics,
                "elapsed_s": trainer.elapsed_s,
            },
            None if config == self._stored_config else config.state_dict(),
        )
        self._saved_at = trainer.step, trainer.epoch
        if self.schedule.keep is not None:
            recorder.prune(self.schedule.retained)

    def _settle(self) -> None:
        """Put the random streams where they belong, whatever was drawn meanwhile."""
        self.trainer.model.backend.set_random_state(self.state.random)
        self._is_settled = True

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Show progress while the block runs, unless it is turned off."""
        if not self.progress:
            yield
            return
        watcher = self.callbacks.register(find("Progress")())
        try:
            yield
        finally:
            watcher.close()
            self.callbacks.unregister(watcher)

    def _current_status(self) -> Document:
        self._note_progress()
        return self.status.state_dict()

    def _note_progress(self) -> None:
        trainer = self.trainer
        fraction = self.schedule.fraction(
            trainer.step, trainer.epoch, trainer.elapsed_s
        )
        self.status.advance(trainer.step, trainer.epoch, fraction)
        self.status.beat()

    def _fail(self, error: BaseException) -> None:
        """Record why the run ends early; what cannot be recorded is noted on it."""
        asked = isinstance(error, KeyboardInterrupt | SystemExit)
        try:
            if asked:
                self._finish(Phase.INTERRUPTED, self.trainer.reason or str(error))
            else:
                self._finish(Phase.FAILED, str(error), error)
        except (PtutilsError, OSError) as second:
            first, *_ = str(second).splitlines()
            error.add_note(f"the database does not know of this: {first}")

    def _finish(
        self, phase: Phase, reason: str, error: BaseException | None = None
    ) -> None:
        self._note_progress()
        before = self.status.state_dict()
        self.status.to(phase, reason, exception=error)
        if self._recorder is None:
            return
        try:
            self._recorder.finish()
        except BaseException:
            self.status.load_state_dict(before)  # Not so until the database says so.
            raise

    @property
    def _run(self) -> Run | None:
        recorder = self._recorder
        return None if recorder is None else recorder.db.runs.get(recorder.run_id)
