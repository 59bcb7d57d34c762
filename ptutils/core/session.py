"""Session: runs an experiment, and leaves in the database all that brings it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ptutils.core.backend import load_backend
from ptutils.core.catalogue import find
from ptutils.core.dbinterface import DBInterface
from ptutils.core.loading import LoadReport, Part, load_tree
from ptutils.core.loop.boundaries import Services
from ptutils.core.loop.schedule import Schedule
from ptutils.core.module import Module
from ptutils.core.recording import Recording, Start
from ptutils.core.records.checkpoint import Checkpoint
from ptutils.core.records.run import Run
from ptutils.core.signals import listening
from ptutils.core.trainer import Trainer
from ptutils.errors import ConfigError
from ptutils.meta.status import Origin, Phase
from ptutils.meta.values import Document, Value

__all__ = ["Session"]


class Session(Module):
    """Run an experiment on data, by a schedule, into a database.

    Args:
        trainer: Trains the model.
        dataprovider: Gives the batches of the splits ``train`` and ``valid``.
        dbinterface: Where the run is kept: a DBInterface or its URL, or several, of
            which the first is read and all are written; None for nowhere.
        schedule: How long to train; when to validate, save and drop checkpoints.
        experiment: A name that groups runs.
        seed: Of all randomness: Python's, numpy's, torch's and the data's.
        progress: Show progress bars on a terminal.
        tags: Words to find the run by.
        source: Record the commit, the packages, the command and the machine.

    Example::

        session = ptutils.Session.from_meta(config="examples/digits.yaml")
        run = session.run()
    """

    def __init__(  # noqa: PLR0913 - what makes up an experiment, in one place
        self,
        trainer: Trainer,
        *,
        dataprovider: Module,
        dbinterface: DBInterface | str | list[DBInterface | str] | None = "runs.db",
        schedule: Schedule | None = None,
        experiment: str = "default",
        seed: int = 0,
        progress: bool = True,
        tags: list[str] | None = None,
        source: bool = True,
    ) -> None:
        self.trainer = trainer
        self.dataprovider: Any = dataprovider
        self.dbinterface = (
            [_connected(each) for each in dbinterface]
            if isinstance(dbinterface, list)
            else _connected(dbinterface)
        )
        _require_different(self.databases)
        self.schedule = schedule or Schedule()
        self.experiment = experiment
        self.seed = seed
        self.progress = progress
        self.tags = list(tags or ())
        self.source = source
        provider: Any = dataprovider
        provider.adopt_seed(seed)
        self.state.random = None
        self._is_settled = True
        self._start = Start()
        self.load_report: LoadReport | None = None
        self._recording = Recording(self)
        self._split = ""

    def __call__(self) -> Run | None:
        """Run; the same as :meth:`run`."""
        return self.run()

    @property
    def id(self) -> str | None:
        """The id of the run in the database, once there is one."""
        return self._recording.run_id

    @property
    def databases(self) -> list[DBInterface]:
        """Where the run is kept, the one that is read first."""
        given = self.dbinterface
        every = given if isinstance(given, list) else [given]
        return [db for db in every if db is not None]

    @property
    def database(self) -> DBInterface | None:
        """The database that the run can be read from now; None without any."""
        return self._recording.db

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
        self._check()
        self._begin()
        recording = self._recording
        try:
            with recording.beating(), listening(self.trainer.interrupt) as signals:
                reason = self._measure() if self._split else self._train()
                signals.raise_if_any()
            is_cut = recording.is_stopped and reason
            recording.finish(Phase.INTERRUPTED if is_cut else Phase.COMPLETED, reason)
        except BaseException as error:
            recording.fail(error)
            raise
        return recording.run

    def checkpoint(self, why: str = "manual") -> None:
        """Save the whole State. Nothing without a database.

        Called while training, say from a callback, it saves when the step in progress
        is complete, with all that reacts to it, and training goes on while it is
        written; :meth:`flush` waits for that. Otherwise it is durable on return.

        Args:
            why: What for; part of the checkpoint.

        Raises:
            EncodeError: If something in the State cannot be stored exactly.
            LeaseError: If the run has ended, or another process took it over.
        """
        if self.trainer.ask_for_checkpoint():
            self._recording.name_next(why)
            return
        self._recording.save(why)
        self._recording.secure(why)

    def flush(self) -> None:
        """Wait until every checkpoint that was taken is durable.

        Where a database is out of reach they go on waiting for it; a run ends when all
        is written there.

        Raises:
            DatabaseError: If one could not be written.
        """
        self._recording.flush()

    def measure_only(self, split: str) -> None:
        """Let :meth:`run` measure a split once, and neither train nor save.

        Args:
            split: Of the data provider.
        """
        self._split = split

    def go_on_from(
        self,
        run: Run,
        checkpoint: Checkpoint | None,
        *,
        lineage: Document | None = None,
        origin: Origin = Origin.RESUMED,
        part: Part | None = None,
    ) -> None:
        """Take over the State of a checkpoint; :meth:`run` then goes on from there.

        What was loaded is told by ``load_report``.

        Args:
            run: The run to go on with, or with ``lineage`` the parent of a new one.
            checkpoint: Whose State to load; None starts at the beginning.
            lineage: What the new run descends from; None goes on with ``run`` itself.
            origin: How the new run comes about.
            part: Which part of the State to load; all of it by default.

        Raises:
            StateMismatchError: If the State does not fit; nothing is changed.
        """
        loaded: tuple[str, ...] = ()
        if checkpoint is not None:
            part = part or Part()
            # Of a part only that is read.
            state = checkpoint.read() if part.select is None else checkpoint.state
            self.load_report = load_tree(self, state, part)
            loaded = self.load_report.loaded
        has_streams = "state.random" in loaded
        if lineage is not None:
            self._start = Start(
                origin=origin,
                checkpoint=checkpoint if "trainer.state.step" in loaded else None,
                lineage=lineage,
                has_streams=has_streams,
            )
            return
        self.status.load_state_dict(run.status.state_dict())
        self.history.load_state_dict(run.history_until(checkpoint).state_dict())
        self.history.take()  # These points are in the database already.
        self._start = Start(
            origin=Origin.RESUMED,
            run=run,
            checkpoint=checkpoint,
            lineage=run.lineage,
            has_streams=has_streams,
        )
        if checkpoint is not None:
            self._recording.saved_at = checkpoint.step, checkpoint.epoch

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

    def _check(self) -> None:
        """Raise what the training, or the measurement, could not do."""
        if self._split:
            self.trainer.check_evaluation(self.dataprovider, self._split)
            return
        self.trainer.check(
            self.dataprovider,
            schedule=self.schedule,
            session=self,
            registries=[self.callbacks],
        )

    def _begin(self) -> None:
        """Enter the phase running, and create or take over the run in the database."""
        if self.status.phase in (Phase.RUNNING, Phase.PAUSED):
            self.status.to(Phase.LOST)  # Its process died; this one goes on.
        start = self._start
        self.status.origin = start.origin
        self.status.to(Phase.RUNNING)
        if not start.has_streams:
            self.trainer.model.backend.seed(self.seed)
            self.state.random = self.trainer.model.backend.random_state()
        self._recording.begin(start)

    def _is_complete(self) -> bool:
        trainer, start = self.trainer, self._start
        return self.status.phase is Phase.COMPLETED and (
            start.run is not None
            and self.schedule.is_over(trainer.step, trainer.epoch, start.elapsed_s)
        )

    def _go_on_from_database(self) -> None:
        """Go back to the newest checkpoint: what is in memory may be half a step."""
        run = self._recording.leave()
        if run is not None:
            self.go_on_from(run, run.newest())

    def _train(self) -> str:
        """Train; return why it ended, with everything up to then saved."""
        if self._start.run is None:
            self._recording.save("start")
        with self._watched():
            reason = self.trainer.train(
                self.dataprovider,
                schedule=self.schedule,
                session=self,
                registries=[self.callbacks],
                elapsed_s=self._start.elapsed_s,
                services=Services(
                    settle=self._settle,
                    save=self._recording.save,
                    complete=self._recording.settle,
                    pause=self._recording.pause,
                ),
            )
        now = self.trainer.step, self.trainer.epoch
        if reason or self._recording.saved_at != now:
            self._recording.save("last")
        self._recording.secure("last")
        return reason

    def _measure(self) -> str:
        """Measure the split that was asked for; return why it did not end, if so."""
        self._settle()
        with self._watched():
            return self.trainer.evaluate(
                self.dataprovider,
                split=self._split,
                session=self,
                registries=[self.callbacks],
            )

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


def _require_different(databases: list[DBInterface]) -> None:
    urls = [db.url for db in databases if db.url != "memory:"]
    twice = [url for url in urls if urls.count(url) > 1]
    if twice:
        raise ConfigError(
            "cannot keep a run twice in one database",
            path="dbinterface",
            expected="different databases",
            got=", ".join(urls),
            fix=f"name {twice[0]} once",
        )


def _connected(given: DBInterface | str | None) -> DBInterface | None:
    return find("connect")(given) if isinstance(given, str) else given
