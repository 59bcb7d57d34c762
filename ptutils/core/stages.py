"""The default stages of training, and what is in flight between them.

::

    Looper ── Epoch ─┬─ Fit ── FitBatch ─┬─ Gradient     forward, loss, backward
                     │                   └─ Update       step
                     └─ Validate ── ValidateBatch ── Loss

Each stage raises ``before_<stage>`` and ``after_<stage>``; ``start_of_training_step`` and
``end_of_training_step`` are the ends of FitBatch. Every trigger offers ``trainer``,
``session``, ``model``, ``schedule``, ``history``, ``status``, ``metrics`` (the last
validation's), ``num_batches`` (of this epoch), ``step`` (updates done) and ``epoch``
(from 0); then, from the stage that writes it on: ``batch``, ``outputs``, ``loss``,
``gradients``.

A checkpoint may be taken after any step and after any epoch. A run resumed there goes
on with the next step: triggers around an epoch that was already entered do not fire
again; ``before_looper`` fires once in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ptutils.core.clock import Clock
from ptutils.core.stage import Stage, Unwind, Values
from ptutils.errors import DataError
from ptutils.meta.statistic import Mean
from ptutils.meta.values import Value

__all__ = [
    "Epoch",
    "Fit",
    "FitBatch",
    "Gradient",
    "Loss",
    "Update",
    "Validate",
    "ValidateBatch",
]


class Gradient(Stage):
    """Go forward, compute the loss, go backward."""

    reads: ClassVar[tuple[str, ...]] = ("batch",)
    writes: ClassVar[tuple[str, ...]] = ("outputs", "loss", "gradients")

    def prepare(self, values: Values) -> None:
        """Look up the backend once."""
        self._gradient = values["model"].backend.gradient
        values["gradients"] = values["model"].backend.gradients(values["model"])

    def run(self, values: Values) -> None:
        """Leave gradients on the parameters, and outputs and detached loss in flight."""
        values["outputs"], values["loss"] = self._gradient(
            values["model"], values["batch"]
        )


class Update(Stage):
    """Let the optimizer take its step, and the scheduler if it goes by steps."""

    reads: ClassVar[tuple[str, ...]] = ("gradients",)

    def prepare(self, values: Values) -> None:
        """Look up the backend once."""
        model = values["model"]
        self._update = model.backend.update
        every = model.scheduler_every
        self._every = every.count if model.scheduler and every.unit == "steps" else 0

    def run(self, values: Values) -> None:
        """Change the parameters; nothing else does."""
        self._update(values["model"])
        if self._every and (values["step"] + 1) % self._every == 0:
            values["model"].scheduler.step()


class FitBatch(Stage):
    """One training step: the update that one batch gives, counted and recorded."""

    reads: ClassVar[tuple[str, ...]] = ("batch",)
    defaults: ClassVar[Mapping[str, Callable[[], Stage]]] = {
        "gradient": Gradient,
        "update": Update,
    }
    opens: ClassVar[tuple[str, ...]] = ("start_of_training_step",)
    closes: ClassVar[tuple[str, ...]] = ("end_of_training_step",)

    def run(self, values: Values) -> None:
        """Run the stages inside; then ``step`` counts this one."""
        for part in self.parts:
            part(values)
        step = values["step"] = values["step"] + 1
        values["record"](step, values["epoch"], "train.loss", values["loss"])


class Fit(Stage):
    """The batches of one epoch, from the position that was reached."""

    provides: ClassVar[tuple[str, ...]] = ("batch",)
    defaults: ClassVar[Mapping[str, Callable[[], Stage]]] = {"fit_batch": FitBatch}

    def __init__(self, **stages: Stage | None) -> None:
        super().__init__(**stages)
        self.state.reached = 0

    def run(self, values: Values) -> None:
        """Take the steps; between them validate, save and stop as the schedule says."""
        clock: Clock = values["clock"]
        model, parts = values["model"], self.parts
        loader = values["provider"].provide("train")
        values["num_batches"] = len(loader)
        prepare = None
        if not model.backend.is_local(model.device):
            prepare = model.backend.to_device
        model.train()
        for batch in loader:
            values["batch"] = batch if prepare is None else prepare(batch, model.device)
            for part in parts:
                part(values)
            if values["step"] >= clock.wake:
                values["between_steps"](values)
        every = model.scheduler_every
        if model.scheduler is not None and every.unit == "epochs":
            if (values["epoch"] + 1) % every.count == 0:
                model.scheduler.step()


class Loss(Stage):
    """Go forward without gradients; compute the loss."""

    reads: ClassVar[tuple[str, ...]] = ("batch",)
    writes: ClassVar[tuple[str, ...]] = ("outputs", "loss")

    def run(self, values: Values) -> None:
        """Leave outputs and loss in flight; metrics and the mean see them."""
        model, batch = values["model"], values["batch"]
        outputs, loss, count = model.backend.evaluate(model, batch)
        values["outputs"], values["loss"] = outputs, loss
        values["mean_loss"].update(loss, count)
        model.update_metrics(outputs, batch[1])


class ValidateBatch(Stage):
    """One batch of validation."""

    reads: ClassVar[tuple[str, ...]] = ("batch",)
    defaults: ClassVar[Mapping[str, Callable[[], Stage]]] = {"loss": Loss}


class Validate(Stage):
    """Measure loss and metrics on the split ``valid``, weighted by samples."""

    provides: ClassVar[tuple[str, ...]] = ("batch",)
    defaults: ClassVar[Mapping[str, Callable[[], Stage]]] = {
        "validate_batch": ValidateBatch
    }

    def __init__(self, **stages: Stage | None) -> None:
        super().__init__(**stages)
        self.state.reached = 0

    def is_due(self, values: Values) -> bool:
        """Tell whether the schedule asks for validation now."""
        return bool(values["clock"].is_due("validate", values))

    def run(self, values: Values) -> None:
        """Measure; ``metrics`` and the History then hold the results."""
        model = values["model"]
        batches = values["provider"].provide({"split": "valid", "epoch": 0})
        inner = Values(values, mean_loss=Mean())
        model.train(False)
        model.reset_metrics()
        for batch in batches:
            local = model.backend.is_local(model.device)
            inner["batch"] = (
                batch if local else model.backend.to_device(batch, model.device)
            )
            for part in self.parts:
                part(inner)
        model.train()
        measured = {"loss": inner["mean_loss"].compute(), **model.compute_metrics()}
        metrics = {f"valid.{name}": value for name, value in measured.items()}
        for name, value in metrics.items():
            values["record"](values["step"], values["epoch"], name, value)
        values["metrics"] = metrics


class Epoch(Stage):
    """One full pass over the training split, and its validation."""

    defaults: ClassVar[Mapping[str, Callable[[], Stage]]] = {
        "fit": Fit,
        "validate": Validate,
    }

    def __init__(self, **stages: Stage | None) -> None:
        super().__init__(**stages)
        self.state.update(reached=0, done=0)

    def run(self, values: Values) -> None:
        """Run the stages inside that this epoch has not run yet."""
        for position in range(self.state.done, len(self.parts)):
            self.parts[position](values)
            self.state.done = position + 1
        self.state.done = 0
