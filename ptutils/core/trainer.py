"""Trainer: owns the counters and runs the loop on a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ptutils.core.callback import Callback
from ptutils.core.clock import Clock
from ptutils.core.dataprovider import Provider
from ptutils.core.looper import Looper
from ptutils.core.model import Model
from ptutils.core.module import Module
from ptutils.core.schedule import Schedule
from ptutils.core.stage import Part, Stage, Unwind, Values, compile_stages
from ptutils.core.stages import Validate
from ptutils.errors import ConfigError, StopTraining
from ptutils.meta.callbacks import Callbacks

__all__ = ["Trainer"]


class Trainer(Module):
    """Train a model by running its looper, step by step.

    Usable alone: ``Trainer(model).train(provider, schedule=Schedule("3 epochs"))``.
    Its counters ``step`` and ``epoch`` are part of its state.

    Args:
        model: What is trained.
        looper: The training loop; the default one if None.
        callbacks: Reactions to the loop's triggers, as instances or (in a config) by
            name.
    """

    def __init__(
        self,
        model: Model,
        *,
        looper: Looper | None = None,
        callbacks: list[Callback] | None = None,
    ) -> None:
        self.model = model
        self.looper = looper or Looper()
        self.state.update(step=0, epoch=0, metrics={})
        self._values = Values()
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
        settle: Callable[[], None] = lambda: None,
        save: Callable[[str], None] = lambda why: None,
    ) -> str:
        """Train from where the counters are until the schedule is over.

        Args:
            provider: Gives the batches of the splits ``train`` and ``valid``.
            schedule: How long, and what happens when; 10 epochs by default.
            session: The Session this belongs to, offered to callbacks.
            registries: Further callbacks, called before the trainer's own.
            elapsed_s: Seconds of training before this process.
            settle: Called once, just before the first epoch or its rest.
            save: Called with the reason when a checkpoint is due.

        Returns:
            Why training ended: ``""`` at the end of the schedule.

        Raises:
            CallbackError: If a callback or stage cannot be attached; nothing has run.
            ConfigError: If the model cannot be trained, or a split is missing.
        """
        schedule = schedule or Schedule()
        self.model.require_trainable()
        _require_splits(provider, schedule)
        clock = Clock(schedule, elapsed_s)
        values = self._values = Values(
            trainer=self,
            session=session,
            model=self.model,
            provider=provider,
            schedule=schedule,
            clock=clock,
            history=self.history,
            status=self.status if session is None else session.status,
            record=(self if session is None else session).history.record,
            metrics=self.state.metrics,
            num_batches=None,
            step=self.state.step,
            epoch=self.state.epoch,
            settle=settle,
            save=save,
        )
        loop = compile_stages(self.looper, [*registries, self.callbacks], values)
        self._complete(values)
        clock.leave_step_boundary(values["step"])
        try:
            loop(values)
        except StopTraining as stop:
            return stop.reason
        except Unwind:
            return clock.reason
        finally:
            self._before_save()
        return clock.reason

    @property
    def step(self) -> int:
        """Updates done."""
        return int(self._values.get("step", self.state.step))

    @property
    def epoch(self) -> int:
        """Full passes done."""
        return int(self._values.get("epoch", self.state.epoch))

    @property
    def metrics(self) -> dict[str, float]:
        """What the last validation measured, by name."""
        return dict(self._values.get("metrics", self.state.metrics))

    @property
    def elapsed_s(self) -> float:
        """Seconds of training, earlier processes included; 0 before it begins."""
        return self._values["clock"].elapsed_s if self._values else 0.0

    @property
    def reason(self) -> str:
        """Why the training was asked to stop; empty if it was not."""
        return self._values["clock"].reason if self._values else ""

    def interrupt(self, reason: str) -> None:
        """Ask a training in progress to stop after the step it is in."""
        if self._values:
            self._values["clock"].interrupt(reason)

    def _complete(self, values: Values) -> None:
        validate = _compiled_validate(self.looper)

        def between_steps(values: Values) -> None:
            clock: Clock = values["clock"]
            clock.enter_step_boundary()
            _validate_once(validate, values)
            if clock.is_due("checkpoint", values):
                values["save"]("schedule")
            if (clock.reason or clock.is_over(values)) and not _at_end(values):
                raise Unwind
            clock.leave_step_boundary(values["step"])

        def between_epochs(values: Values) -> None:
            clock: Clock = values["clock"]
            if clock.schedule.after_epoch("checkpoint", values["epoch"]):
                values["save"]("schedule")
            if clock.reason:
                raise Unwind

        values["between_steps"] = between_steps
        values["between_epochs"] = between_epochs

    def _before_save(self) -> None:
        values = self._values
        if values:
            self.state.update(
                step=values["step"],
                epoch=values["epoch"],
                metrics=dict(values["metrics"]),
            )

    def _after_load(self) -> None:
        self._values = Values()


def _validate_once(validate: Part | None, values: Values) -> None:
    if validate is None:
        return
    try:
        validate(values)
    except StopTraining:
        # The next validation is another one: nothing of this is left to finish.
        for stage in _all_of(values["trainer"].looper, Validate):
            stage.state.reached = 0
        raise


def _compiled_validate(looper: Looper) -> Part | None:
    """Return the first Validate stage of the tree as it was compiled."""
    for parent in _all_of(looper, Stage):
        for stage, part in zip(parent.stages(), parent.parts, strict=True):
            if isinstance(stage, Validate):
                return part
    return None


def _all_of(looper: Looper, kind: type[Stage]) -> Iterator[Stage]:
    for _, stage in looper.named_modules():
        if isinstance(stage, kind):
            yield stage


def _at_end(values: Values) -> bool:
    """Tell whether the step just done was the last of its epoch."""
    loader = values["provider"].loaders["train"]
    return bool(loader.state["position"] >= len(loader))


def _require_splits(provider: Provider, schedule: Schedule) -> None:
    needed = ["train"] if schedule.validate is None else ["train", "valid"]
    for split in needed:
        if split not in provider.loaders:
            raise ConfigError(
                f"cannot train without a loader for {split!r}",
                path=f"dataprovider.loaders.{split}",
                expected=f"loaders {' and '.join(needed)}",
                got=", ".join(provider.loaders) or "no loaders",
                fix="set schedule.validate to null to train without validation"
                if split == "valid"
                else "add a loader for the split 'train'",
            )
