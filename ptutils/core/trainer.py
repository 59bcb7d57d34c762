"""Trainer: owns the counters and runs the loop on a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ptutils.core.callback import Callback
from ptutils.core.dataprovider import Provider
from ptutils.core.loop.boundaries import Services, add_boundaries
from ptutils.core.loop.clock import Clock
from ptutils.core.loop.compiling import check_stages, compile_stages, walk
from ptutils.core.loop.looper import Looper
from ptutils.core.loop.overlap import leaves_parameters
from ptutils.core.loop.schedule import Schedule
from ptutils.core.loop.stage import Part, Stage, Values
from ptutils.core.loop.stages import Validate
from ptutils.core.model import Model
from ptutils.core.module import Module
from ptutils.errors import ConfigError
from ptutils.meta.callbacks import Callbacks

__all__ = ["Trainer"]

_SERVICES = ("clock", "is_copying", *vars(Services()))


class Trainer(Module):
    """Train a model by running its looper, step by step.

    Usable alone: ``Trainer(model).train(provider, schedule=Schedule("3 epochs"))``.
    Its counters ``step`` and ``epoch`` are part of its state.

    Args:
        model: What is trained.
        looper: The training loop; the default one if None.
        callbacks: Reactions to the loop's triggers, as instances or (in a config) by
            name; a dict gives them names of its own.
    """

    def __init__(
        self,
        model: Model,
        *,
        looper: Looper | None = None,
        callbacks: list[Callback] | dict[str, Callback] | None = None,
    ) -> None:
        self.model = model
        self.looper = looper or Looper()
        self.state.update(step=0, epoch=0, passed=0, metrics={}, lasting={})
        self._values = Values()
        self._lasting: frozenset[str] = frozenset()
        self._is_training = False
        self._asked = ""
        if isinstance(callbacks, dict):
            for name, callback in callbacks.items():
                self.callbacks.register(callback, name=name)
        else:
            for callback in callbacks or ():
                self.callbacks.register(callback)

    def __call__(self, provider: Provider, **settings: Any) -> str:
        """Train; the same as :meth:`train`."""
        return self.train(provider, **settings)

    def train(
        self,
        provider: Provider,
        *,
        schedule: Schedule | None = None,
        session: Module | None = None,
        registries: Iterable[Callbacks] = (),
        elapsed_s: float = 0.0,
        services: Services | None = None,
    ) -> str:
        """Train from where the counters are until the schedule is over.

        Args:
            provider: Gives the batches of the splits ``train`` and ``valid``.
            schedule: How long, and what happens when; 10 epochs by default.
            session: The Session this belongs to, offered to callbacks.
            registries: Further callbacks, called before the trainer's own.
            elapsed_s: Seconds of training before this process.
            services: What is called at certain moments, to save say; nothing is by
                default, and a pause waits.

        Returns:
            Why training ended: ``""`` at the end of the schedule.

        Raises:
            CallbackError: As :meth:`check`, before anything has run.
            ConfigError: Likewise.
        """
        schedule, registries = schedule or Schedule(), list(registries)
        self.check(provider, schedule=schedule, session=session, registries=registries)
        values = self._offered(provider, schedule, session)
        clock = Clock(schedule, elapsed_s)
        every = list(self._all(registries))
        values.update(clock=clock, is_copying=False, **vars(services or Services()))
        loop = compile_stages(self.looper, "looper", every, values)
        values.update(self.state.lasting)
        validate = _compiled_validate(self.looper) or _idle
        overlaps = leaves_parameters(self.looper, every)
        add_boundaries(values, self.state, validate, overlaps=overlaps)
        clock.leave_step_boundary(values["step"])
        self._values, self._lasting, self._is_training = values, loop.lasting, True
        if self._asked:
            clock.interrupt(self._asked)
            self._asked = ""
        try:
            loop.run(values)
        finally:
            self._is_training = False
            values["complete"]()
            self._before_save()
        return clock.reason

    def evaluate(
        self,
        provider: Provider,
        *,
        split: str = "valid",
        session: Module | None = None,
        registries: Iterable[Callbacks] = (),
    ) -> str:
        """Measure loss and metrics on a split once, as the looper's Validate does.

        The results are in ``metrics`` and in the History, at the present step.

        Args:
            provider: Gives the batches of the split.
            split: Its name, which the names of the results begin with.
            session: As for :meth:`train`.
            registries: As for :meth:`train`.

        Returns:
            Why it ended early: ``""`` if it did not.

        Raises:
            CallbackError: If a callback or stage cannot be attached.
            ConfigError: If there is no such split, or the looper does not validate.
        """
        self.check_evaluation(provider, split)
        schedule, registries = Schedule(), list(registries)
        values = self._offered(provider, schedule, session)
        clock = Clock(schedule)
        values.update(clock=clock, is_copying=False, split=split, **vars(Services()))
        compile_stages(self.looper, "looper", self._all(registries), values)
        validate = _compiled_validate(self.looper) or _idle
        self._values, self._is_training = values, True
        try:
            validate(values)
        finally:
            self._is_training = False
            self._before_save()
        return clock.reason

    def check(
        self,
        provider: Provider,
        *,
        schedule: Schedule | None = None,
        session: Module | None = None,
        registries: Iterable[Callbacks] = (),
    ) -> None:
        """Raise what :meth:`train` could not do with the same arguments; run nothing.

        Args:
            provider: As for :meth:`train`.
            schedule: As for :meth:`train`.
            session: As for :meth:`train`.
            registries: As for :meth:`train`.

        Raises:
            CallbackError: If a callback or stage cannot be attached.
            ConfigError: If the model cannot be trained, a split is missing, or a metric
                is watched that is not measured.
        """
        schedule, every = schedule or Schedule(), list(self._all(registries))
        self.model.require_trainable()
        is_validated = schedule.validate is not None
        require_splits(provider, ["train", "valid"] if is_validated else ["train"])
        offered = {*self._offered(provider, schedule, session), *_SERVICES}
        check_stages(self.looper, "looper", every, offered)
        callbacks = [callback for registry in every for callback in registry]
        if not _is_measured_by_others(self.looper, callbacks):
            names = ["valid.loss", *(f"valid.{name}" for name in self.model.metrics)]
            if schedule.keep is not None:
                schedule.keep.require_metric(names)
            for callback in callbacks:
                if isinstance(callback, Callback):
                    callback._check_metrics(names)

    def check_evaluation(self, provider: Provider, split: str) -> None:
        """Raise what :meth:`evaluate` could not do with the same arguments.

        Args:
            provider: As for :meth:`evaluate`.
            split: As for :meth:`evaluate`.

        Raises:
            ConfigError: If there is no such split, or the looper does not validate.
        """
        require_splits(provider, [split])
        stages = [stage for _, stage in walk(self.looper, "looper")]
        if not any(isinstance(stage, Validate) for stage in stages):
            raise ConfigError(
                "cannot measure with this looper",
                path="trainer.looper",
                expected="a Validate stage somewhere in it",
                got="none",
                fix="give the loop its default stage 'validate' back",
            )

    @property
    def step(self) -> int:
        """Updates done."""
        return int((self._values or self.state)["step"])

    @property
    def epoch(self) -> int:
        """Full passes done."""
        return int((self._values or self.state)["epoch"])

    @property
    def metrics(self) -> dict[str, float]:
        """What the last validation measured, by name."""
        return dict((self._values or self.state)["metrics"])

    @property
    def elapsed_s(self) -> float:
        """Seconds of training, earlier processes included; 0 before it begins."""
        return self._values["clock"].elapsed_s if self._values else 0.0

    @property
    def reason(self) -> str:
        """Why the training was asked to stop; empty if it was not."""
        return self._values["clock"].reason if self._values else ""

    def ask_for_checkpoint(self) -> bool:
        """Ask a training in progress to save between steps; False if there is none."""
        if not self._is_training:
            return False
        self._values["clock"].ask_for_checkpoint()
        return True

    def ask_for_pause(self, reason: str) -> None:
        """Ask a training in progress to pause when the step it is in is complete."""
        if self._is_training:
            self._values["clock"].ask_for_pause(reason)

    def go_on(self) -> None:
        """Let a training that pauses go on."""
        if self._is_training:
            self._values["clock"].go_on()

    def wait(self) -> None:
        """Wait while training is to pause, until it may go on or is to stop."""
        self._values["clock"].wait()

    def interrupt(self, reason: str) -> None:
        """Ask the training in progress to stop after the step it is in.

        Before it has begun, ask it not to take a step at all.
        """
        if self._is_training:
            self._values["clock"].interrupt(reason)
        else:
            self._asked = reason

    def _all(self, registries: Iterable[Callbacks]) -> Iterable[Callbacks]:
        """Return the registries with the model's and the trainer's own, each once."""
        every = [*registries, self.model.callbacks, self.callbacks]
        return {id(registry): registry for registry in every}.values()

    def _offered(
        self, provider: Provider, schedule: Schedule, session: Module | None
    ) -> Values:
        """Return what every trigger offers."""
        owner = self if session is None else session
        return Values(
            trainer=self,
            session=session,
            model=self.model,
            provider=provider,
            schedule=schedule,
            history=owner.history,
            status=owner.status,
            record=owner.history.record,
            metrics=self.state.metrics,
            num_batches=len(provider.loaders.get("train", ())),
            step=self.state.step,
            epoch=self.state.epoch,
        )

    def _before_save(self) -> None:
        values = self._values
        if values:
            self.state.update(
                step=values["step"],
                epoch=values["epoch"],
                metrics=dict(values["metrics"]),
                lasting={k: values[k] for k in self._lasting if k in values},
            )

    def _after_load(self) -> None:
        self._values = Values()
        self._asked = ""


def _is_measured_by_others(looper: Looper, callbacks: Iterable[object]) -> bool:
    """Tell whether ``metrics`` may hold more than the Model's and the loss."""
    stages = [stage for _, stage in walk(looper, "looper")]
    if all(type(stage) is not Validate for stage in stages):
        return True
    return any(
        "metrics" in getattr(writer, "writes", ()) for writer in (*stages, *callbacks)
    )


def _compiled_validate(stage: Stage) -> Part | None:
    """Return the first Validate stage of the tree as it was compiled."""
    for (_, inner), part in zip(stage.stages(), stage.parts, strict=True):
        found = part if isinstance(inner, Validate) else _compiled_validate(inner)
        if found is not None:
            return found
    return None


def require_splits(provider: Provider, needed: Sequence[str]) -> None:
    """Refuse a data provider that lacks a split.

    Args:
        provider: Gives the batches.
        needed: The names of the splits.

    Raises:
        ConfigError: If it has no loader for one of them.
    """
    for split in needed:
        if split not in provider.loaders:
            raise ConfigError(
                f"cannot run without a loader for {split!r}",
                path=f"dataprovider.loaders.{split}",
                expected=f"loaders {' and '.join(needed)}",
                got=", ".join(provider.loaders) or "no loaders",
                fix="set schedule.validate to null to train without validation"
                if split == "valid"
                else f"add a loader for the split {split!r}",
            )


def _idle(*arguments: object) -> None:
    """Stand in for what only a training does."""
