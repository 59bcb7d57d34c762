"""The default stages of training, and what is in flight between them.

::

    Looper ── Epoch ─┬─ Fit ── FitBatch ─┬─ Gradient     forward, loss, backward
                     │                   └─ Update       step
                     └─ Validate ── ValidateBatch ── Loss

Each stage raises ``before_<stage>`` and ``after_<stage>``; the ends of FitBatch are
``start_of_training_step`` and ``end_of_training_step``. All triggers offer ``trainer``,
``session``, ``model``, ``schedule``, ``history``, ``status``, ``metrics`` (the last
validation's), ``num_batches`` (of the epoch whose batches came last), ``step`` (updates
done) and ``epoch`` (full passes done). Inside Fit and Validate there are also ``batch``
and, from the stage that writes them on, ``outputs``, ``loss`` and ``gradients``.

A checkpoint may be taken after any step and after any epoch. A run resumed there goes
on with the next step: triggers around an epoch that was already entered do not fire
again; ``before_looper`` and ``after_looper`` fire once in every process.

StopTraining ends training at the next place where it can be resumed as if it had never
stopped. A step whose update was not taken is given up, and its batch comes again; any
other step, a validation and the end of an epoch are completed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from ptutils.core.loop.clock import Clock
from ptutils.core.loop.stage import Stage, Unwind, Values
from ptutils.errors import StopTraining
from ptutils.meta.statistic import Mean

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
        _show_gradients(values)

    def run(self, values: Values) -> None:
        """Leave gradients on the parameters; outputs and detached loss in flight."""
        values["outputs"], values["loss"] = self._gradient(
            values["model"], values["batch"]
        )


class Update(Stage):
    """Let the optimizer take its step, and the scheduler if it goes by steps.

    A callback that writes ``gradients`` changes what the optimizer sees.
    """

    reads: ClassVar[tuple[str, ...]] = ("gradients",)
    writes: ClassVar[tuple[str, ...]] = ("step",)

    def prepare(self, values: Values) -> None:
        """Look up the backend once."""
        model = values["model"]
        self._update = model.backend.update
        self._live = _show_gradients(values)
        self._every = model.scheduled_by("steps")

    def run(self, values: Values) -> None:
        """Change the parameters; nothing else does. Count the step."""
        if values["is_copying"]:
            values["complete"]()  # A checkpoint has the parameters of before.
            values["is_copying"] = False
        model = values["model"]
        if values["gradients"] is not self._live:
            model.backend.set_gradients(model, values["gradients"])
            values["gradients"] = self._live
        self._update(model)
        step = values["step"] = values["step"] + 1
        if self._every and step % self._every == 0:
            model.backend.schedule(model)


class FitBatch(Stage):
    """One training step: the update that one batch gives, counted and recorded."""

    reads: ClassVar[tuple[str, ...]] = ("batch",)
    writes: ClassVar[tuple[str, ...]] = ("step",)
    defaults: ClassVar[Mapping[str, Callable[[], Stage]]] = {
        "gradient": Gradient,
        "update": Update,
    }
    opens: ClassVar[tuple[str, ...]] = ("start_of_training_step",)
    closes: ClassVar[tuple[str, ...]] = ("end_of_training_step",)

    def run(self, values: Values) -> None:
        """Run the stages inside; ``step`` counts this one even if none of them did.

        Raises:
            StopTraining: If a stage inside stops training before the update is taken.
        """
        done = values["step"]
        try:
            for part in self.parts:
                part(values)
        except StopTraining as stop:
            if values["step"] == done:
                raise
            values["clock"].interrupt(stop.reason)
        step = values["step"] = done + 1
        if "loss" in values:
            values["record"](step, values["epoch"], "train.loss", values["loss"])


class Fit(Stage):
    """The batches of one epoch, from the position that was reached."""

    provides: ClassVar[tuple[str, ...]] = ("batch",)
    defaults: ClassVar[Mapping[str, Callable[[], Stage]]] = {"fit_batch": FitBatch}

    def __init__(self, **stages: Stage | None) -> None:
        super().__init__(**stages)
        self.state.reached = 0

    def run(self, values: Values) -> None:
        """Take the steps; between them validate, save and stop as the schedule says.

        Raises:
            Unwind: If training stops before the end of the epoch.
        """
        clock: Clock = values["clock"]
        model, parts = values["model"], self.parts
        loader = values["provider"].provide("train")
        values["num_batches"] = len(loader)
        place = (
            None if model.backend.is_local(model.device) else model.backend.to_device
        )
        model.train()
        values["enter"](values)
        for batch in loader:
            values["batch"] = batch if place is None else place(batch, model.device)
            done = values["step"]
            try:
                for part in parts:
                    part(values)
            except StopTraining as stop:
                clock.interrupt(stop.reason)
                if values["step"] == done:
                    loader.state["position"] -= 1  # The batch comes again.
                    values["complete"]()
                    raise Unwind from stop
            if values["step"] >= clock.wake:
                values["between_steps"](values)
        every = model.scheduled_by("epochs")
        if every and (values["epoch"] + 1) % every == 0:
            model.backend.schedule(model)


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

    def run(self, values: Values) -> None:
        """Run the stages inside."""
        super().run(values)


class Validate(Stage):
    """Measure loss and metrics on a split, ``valid`` in training, sample by sample."""

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
        split = values.get("split", "valid")
        batches = values["provider"].provide({"split": split, "epoch": 0})
        place = (
            None if model.backend.is_local(model.device) else model.backend.to_device
        )
        inner = Values(values, mean_loss=Mean())
        model.train(False)
        model.reset_metrics()
        try:
            for batch in batches:
                inner["batch"] = batch if place is None else place(batch, model.device)
                for part in self.parts:
                    part(inner)
        finally:
            model.train()
        measured = {"loss": inner["mean_loss"].compute(), **model.compute_metrics()}
        metrics = {f"{split}.{name}": value for name, value in measured.items()}
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


def _show_gradients(values: Values) -> object:
    """Put a live view of the gradients in flight, unless one is; return it."""
    model = values["model"]
    return values.setdefault("gradients", model.backend.gradients(model))
