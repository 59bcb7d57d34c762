"""Recording: what a Session leaves in its databases, first word to last."""

from __future__ import annotations

import uuid
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ptutils.core.collecting import Collection
from ptutils.core.records.checkpoint import Checkpoint
from ptutils.core.records.checkpoints import place_of
from ptutils.core.records.lineage import new_lineage
from ptutils.core.records.run import Run
from ptutils.core.records.source import capture_source, folded
from ptutils.core.records.writing.recorder import Recorder
from ptutils.errors import PtutilsError
from ptutils.meta.config import Config
from ptutils.meta.status import Origin, Phase
from ptutils.meta.values import Document

if TYPE_CHECKING:
    from ptutils.core.dbinterface import DBInterface
    from ptutils.core.session import Session

__all__ = ["Recording", "Start"]


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a run begins: anew, or at a checkpoint, of itself or of its parent."""

    origin: Origin = Origin.NEW
    run: Run | None = None
    checkpoint: Checkpoint | None = None
    lineage: Document = field(default_factory=new_lineage)
    has_streams: bool = False  # Whether the random streams were loaded.

    @property
    def elapsed_s(self) -> float:
        """Seconds of training before it."""
        return 0.0 if self.checkpoint is None else self.checkpoint.elapsed_s


class Recording:
    """The run of one Session in its databases; without any it does nothing.

    Args:
        session: Whose.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._recorder: Recorder | None = None
        # One for all its recorders: after a fault of the database it may go on at once.
        self._owner = uuid.uuid4().hex
        self._stored_config: Config | None = None
        self._config: Config | None = None
        self._shape: list[int | str] = []
        self._objects: list[object] = []
        self._asked_why = ""
        self.saved_at: tuple[int, int] | None = None
        self.is_stopped = False

    @property
    def run_id(self) -> str | None:
        """The id of the run, once there is one."""
        return None if self._recorder is None else self._recorder.run_id

    @property
    def db(self) -> DBInterface | None:
        """The database that the run can be read from now; None without any."""
        if self._recorder is not None:
            return self._recorder.db
        return next(iter(self._session.databases), None)

    @property
    def run(self) -> Run | None:
        """The run as it stands in the database, once there is one."""
        recorder = self._recorder
        return None if recorder is None else recorder.db.runs.get(recorder.run_id)

    def leave(self) -> Run | None:
        """Have no run any more; return the one that was, from where it goes on.

        What it put aside while its database was out of reach is brought there.

        Raises:
            UnavailableError: If the database still is.
        """
        run, databases = self.run, self._session.databases
        if run is not None and run.db not in databases:
            (run,) = databases[0].import_runs(run.db, {"_id": run.id})
        self._recorder = None
        self.is_stopped = False
        return run

    def begin(self, start: Start) -> None:
        """Create the run in the databases, or take it over.

        Raises:
            LeaseError: If another process is writing it.
        """
        session = self._session
        if not session.databases:
            return
        self._stored_config = session.config
        encoded = {
            "config": self._stored_config.state_dict(),
            "source": folded(capture_source()) if session.source else {},
            "lineage": dict(start.lineage),
        }
        recorder = Recorder(
            session.databases, session.history, self._status, self._owner
        )
        fields = {"experiment": session.experiment, "tags": session.tags}
        if start.run is None:
            recorder.create({**fields, "notes": ""}, encoded)
        else:
            # What a person wrote since stays, unless the config says something new.
            before = {"experiment": "default", **start.run.config}
            changed = {
                name: value
                for name, value in fields.items()
                if value != (before.get(name) or [])
            }
            place = place_of(start.checkpoint)
            recorder.acquire(start.run.id, changed, encoded, place)
        self._recorder = recorder

    def beating(self) -> AbstractContextManager[None]:
        """Keep the run alive in the background, and obey what is asked of it."""
        if self._recorder is None:
            return nullcontext()
        return self._recorder.beating(self._session.trainer.interrupt, self._obey)

    def name_next(self, why: str) -> None:
        """Say what the next checkpoint is for, whatever :meth:`save` says."""
        self._asked_why = why

    def save(self, why: str, *, is_ahead: bool = False) -> None:
        """Take a checkpoint, between two steps; it is written while training goes on.

        Args:
            why: What for.
            is_ahead: Whether a step comes next, which calls :meth:`settle` before it
                changes parameters: until then they are copied in the background.

        Raises:
            EncodeError: If something in the State cannot be stored exactly.
            DatabaseError: If what was taken before could not be written.
        """
        recorder, session = self._recorder, self._session
        if recorder is None:
            return
        why, self._asked_why = self._asked_why or why, ""
        trainer, schedule = session.trainer, session.schedule
        collection = Collection(session)
        config = self._config_of(collection)
        recorder.checkpoint(
            collection.state,
            {
                "step": trainer.step,
                "epoch": trainer.epoch,
                "why": why,
                "metrics": trainer.metrics,
                "elapsed_s": trainer.elapsed_s,
            },
            None if config == self._stored_config else config.state_dict(),
            None if schedule.keep is None else schedule.retained,
            trainer.model.backend.updated(trainer.model) if is_ahead else (),
        )
        self.saved_at = trainer.step, trainer.epoch

    def _config_of(self, collection: Collection) -> Config:
        """Return the present config; to write it down takes long, to compare does not.

        Args:
            collection: Of the session at this moment.
        """
        if self._config is None or collection.shape != self._shape:
            self._config = self._session.config
            self._shape, self._objects = collection.shape, collection.objects
        return self._config

    def settle(self) -> None:
        """Copy what is still to be copied of the last checkpoint."""
        if self._recorder is not None:
            self._recorder.settle()

    def flush(self) -> None:
        """Wait until every checkpoint that was taken is durable.

        Raises:
            DatabaseError: If one could not be written.
        """
        if self._recorder is not None:
            self._recorder.flush()

    def secure(self, why: str) -> None:
        """Wait until the checkpoint of this very moment is durable.

        Args:
            why: What it is for, if it has to be taken once more.

        Raises:
            DatabaseError: If it could not be written.
        """
        self.flush()
        if self._recorder is not None and self._recorder.lacks_newest:
            self._recorder.forget()
            self.save(why)
            self.flush()

    def pause(self, reason: str) -> None:
        """Save, and wait until the trainer may go on."""
        status = self._session.status
        self.save("pause")
        self.secure("pause")
        status.to(Phase.PAUSED, reason)
        self._beat()
        self._session.trainer.wait()
        status.to(Phase.RUNNING)
        self._beat()

    def finish(
        self, phase: Phase, reason: str, error: BaseException | None = None
    ) -> None:
        """Write how the run ended, and let go of it; durable when this returns."""
        status = self._session.status
        self._note_progress()
        before = status.state_dict()
        status.to(phase, reason, exception=error)
        if self._recorder is None:
            return
        try:
            self._recorder.finish()
        except BaseException:
            status.load_state_dict(before)  # Not so until the database says so.
            raise

    def fail(self, error: BaseException) -> None:
        """Record why the run ends early; what cannot be recorded is noted on it."""
        asked = isinstance(error, KeyboardInterrupt | SystemExit)
        try:
            self.flush()
        except (PtutilsError, OSError) as second:
            if not isinstance(error, PtutilsError | OSError):  # It tells of the same.
                error.add_note(f"a checkpoint could not be written: {_first(second)}")
        try:
            if asked:
                reason = self._session.trainer.reason or str(error)
                self.finish(Phase.INTERRUPTED, reason)
            else:
                self.finish(Phase.FAILED, str(error), error)
        except (PtutilsError, OSError) as second:
            error.add_note(f"the database does not know of this: {_first(second)}")

    def _beat(self) -> None:
        if self._recorder is not None:
            self._recorder.beat()

    def _obey(self, request: Document) -> None:
        """Do what is asked of the run; called from the heartbeat."""
        trainer, verb = self._session.trainer, request["verb"]
        if verb == "stop":
            self.is_stopped = True
            trainer.interrupt(_why("stopped", request))
        elif verb == "pause":
            trainer.ask_for_pause(_why("paused", request))
        elif verb == "go on":
            trainer.go_on()
        else:
            trainer.ask_for_checkpoint()

    def _status(self) -> Document:
        self._note_progress()
        return self._session.status.state_dict()

    def _note_progress(self) -> None:
        trainer, status = self._session.trainer, self._session.status
        fraction = self._session.schedule.fraction(
            trainer.step, trainer.epoch, trainer.elapsed_s
        )
        status.advance(trainer.step, trainer.epoch, fraction)
        status.beat()


def _first(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _why(done: str, request: Document) -> str:
    by, reason = request["by"], request.get("reason")
    text = f"{done} by process {by['pid']} on {by['host']}"
    return f"{text}: {reason}" if reason else text
