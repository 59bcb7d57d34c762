"""Every declaration is checked before anything runs."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from ptutils.core.loop.looper import Looper
from ptutils.core.loop.stage import Stage, Values
from ptutils.core.loop.stages import Epoch, Fit, FitBatch
from ptutils.errors import CallbackError, StopTraining
from tests.core.training import STEPS_PER_EPOCH, Witness, reacting, train, trainer


class Extra(Stage):
    """A stage made of what a test says."""

    def __init__(self, run: Any = None, *, due: bool = True) -> None:
        super().__init__()
        self.work = run
        self.due = due

    def is_due(self, values: Values) -> bool:
        return self.due

    def run(self, values: Values) -> None:
        if self.work:
            self.work(values)


class Reader(Extra):
    reads: ClassVar[tuple[str, ...]] = ("difficulty",)


class Writer(Extra):
    writes: ClassVar[tuple[str, ...]] = ("difficulty",)


class Opening(Extra):
    opens: ClassVar[tuple[str, ...]] = ("dawn",)
    closes: ClassVar[tuple[str, ...]] = ("dusk",)


def in_step(**stages: Stage) -> Looper:
    return Looper(epoch=Epoch(fit=Fit(fit_batch=FitBatch(**stages))))


def attach_error(*callbacks: Any, looper: Any = None) -> str:
    made = trainer(*callbacks, looper=looper)
    with pytest.raises(CallbackError) as caught:
        train(made)
    assert made.step == 0
    return str(caught.value)


def test_unknown_value_is_refused_with_the_nearest() -> None:
    error = attach_error(reacting("after_gradient", lambda los: None))
    assert "cannot attach 'reacting' to 'after_gradient'" in error
    assert "did you mean 'loss'?" in error


@pytest.mark.parametrize(
    ("trigger", "react"),
    [
        ("before_gradient", lambda loss: None),
        ("before_epoch", lambda batch: None),
        ("after_fit", lambda loss: None),
        ("after_epoch", lambda outputs: None),
        ("before_validate", lambda batch: None),
    ],
)
def test_value_of_another_place_is_refused(trigger: str, react: Any) -> None:
    assert "which nobody provides there" in attach_error(reacting(trigger, react))


def test_values_of_a_batch_are_offered_inside() -> None:
    seen: list[float] = []
    callbacks = [
        reacting("after_gradient", lambda batch, outputs, loss, gradients: None),
        reacting("end_of_training_step", lambda loss: seen.append(float(loss))),
        reacting("after_validate_batch", lambda batch, outputs, loss: None),
    ]
    train(trainer(*callbacks))
    assert len(seen) == STEPS_PER_EPOCH


def test_unknown_trigger_is_refused_with_the_nearest() -> None:
    error = attach_error(reacting("after_updat", lambda: None))
    assert "a handler of 'after_updat', which no stage raises" in error
    assert "did you mean 'after_update'?" in error


def test_unknown_trigger_like_no_other_says_how_to_have_it() -> None:
    error = attach_error(reacting("after_" + 40 * "x", lambda: None))
    assert "list triggers of your own" in error


def test_trigger_of_a_stage_that_was_removed_is_refused() -> None:
    looper = Looper(epoch=Epoch(validate=None))
    error = attach_error(reacting("after_validate", lambda: None), looper=looper)
    assert "which no stage raises" in error


def test_two_unordered_writers_are_refused() -> None:
    error = attach_error(
        reacting("after_gradient", lambda: None, writes=("loss",)),
        reacting("after_gradient", lambda: None, writes=("loss",)),
    )
    assert "'reacting_2' and 'reacting'" in error


def test_writing_for_nobody_is_refused_with_the_nearest() -> None:
    error = attach_error(reacting("after_gradient", lambda: None, writes="gradient"))
    assert "it writes 'gradient', which nobody reads" in error
    assert "did you mean 'gradients'?" in error


def test_writing_for_nobody_like_no_other_says_what_to_do() -> None:
    error = attach_error(reacting("after_gradient", lambda: None, writes="xyzzy"))
    assert "keep it in self.state" in error


def test_stage_that_reads_what_nobody_provides_is_refused() -> None:
    error = attach_error(looper=in_step(reader=Reader()))
    assert "cannot run the stage Reader" in error
    assert "it reads 'difficulty', which nobody provides before it" in error
    assert "put the stage after the one that writes it" in error


def test_stage_that_misspells_what_it_reads_is_told_the_nearest() -> None:
    class Misspelt(Extra):
        reads: ClassVar[tuple[str, ...]] = ("los",)

    assert "did you mean 'loss'?" in attach_error(looper=in_step(bad=Misspelt()))


def test_stage_before_the_one_that_writes_is_refused() -> None:
    looper = in_step(reader=Reader(), writer=Writer())
    assert "which nobody provides before it" in attach_error(looper=looper)


def test_stage_reads_what_one_before_it_writes() -> None:
    seen: list[int] = []
    write = Writer(lambda values: values.update(difficulty=values["step"]))
    read = Reader(lambda values: seen.append(values["difficulty"]))
    train(trainer(looper=in_step(writer=write, reader=read)), "2 steps")
    assert seen == [1, 2]


def test_callback_writes_for_a_stage() -> None:
    seen: list[int] = []
    write = reacting("before_epoch", lambda: {"difficulty": 7}, writes="difficulty")
    read = Reader(lambda values: seen.append(values["difficulty"]))
    train(trainer(write, looper=in_step(reader=read)), "1 step")
    assert seen == [7]


def test_what_is_written_inside_a_step_ends_with_the_epoch() -> None:
    looper = Looper(epoch=Epoch(fit=Fit(writer=Writer()), reader=Reader()))
    assert "it reads 'difficulty'" in attach_error(looper=looper)


def test_further_triggers_of_a_stage_surround_it() -> None:
    seen: list[str] = []
    opening = Opening(lambda values: seen.append("run"))
    callbacks = [
        reacting(name, _noting(seen, name), triggers=(name,))
        for name in ("before_extra", "dawn", "dusk", "after_extra")
    ]
    train(trainer(*callbacks, looper=Looper(epoch=Epoch(extra=opening))))
    assert seen == ["before_extra", "dawn", "run", "dusk", "after_extra"]


def _noting(seen: list[str], name: str) -> Any:
    def note() -> None:
        seen.append(name)

    return note


def test_stage_that_is_not_due_is_passed_over_with_its_callbacks() -> None:
    seen: list[str] = []
    extra = Extra(lambda values: seen.append("run"), due=False)
    callback = reacting("before_extra", _noting(seen, "before"))
    train(trainer(callback, looper=Looper(epoch=Epoch(extra=extra))))
    assert seen == []


def test_stage_without_callbacks_is_nothing_but_its_run() -> None:
    made: Any = trainer()
    train(made)
    fit = made.looper.epoch.fit
    assert fit.parts == (fit.fit_batch.run,)


def test_stage_raises_triggers_of_its_own() -> None:
    seen: list[float] = []

    def run(values: Values) -> None:
        result = values["trainer"].callbacks.call("harder", difficulty=1)
        seen.append(result["difficulty"])

    harder = reacting(
        "harder",
        lambda difficulty: {"difficulty": 2 * difficulty},
        triggers=("harder",),
        writes=("difficulty",),
    )
    extra = Reader(run)
    first = reacting("before_epoch", lambda: {"difficulty": 0}, writes="difficulty")
    train(trainer(harder, first, looper=Looper(epoch=Epoch(extra=extra))))
    assert seen == [2]


@pytest.mark.parametrize("place", ["step", "fit", "epoch", "looper"])
def test_stage_may_stop_the_training(place: str) -> None:
    def stop(values: Values) -> None:
        raise StopTraining(f"in {place}")

    extra, witness = Extra(stop), Witness()
    looper = {
        "step": lambda: in_step(extra=extra),
        "fit": lambda: Looper(epoch=Epoch(fit=Fit(extra=extra))),
        "epoch": lambda: Looper(epoch=Epoch(extra=extra)),
        "looper": lambda: Looper(extra=extra),
    }[place]()
    made = trainer(witness, looper=looper)

    assert train(made, "3 epochs") == f"in {place}"
    assert witness.log[-1][0] == "after_looper"
    steps = 1 if place in ("step", "fit") else STEPS_PER_EPOCH
    assert (made.step, made.history.last("train.loss").step) == (steps, steps)


def test_stage_that_stops_before_the_update_gives_the_step_up() -> None:
    def stop(values: Values) -> None:
        raise StopTraining("no step")

    class Stopping(Extra):
        writes: ClassVar[tuple[str, ...]] = ("outputs", "loss", "gradients")

    made = trainer(looper=in_step(gradient=Stopping(stop)))
    assert train(made) == "no step"
    assert made.step == 0


def test_stage_that_stops_inside_validation_leaves_the_net_training() -> None:
    def stop(values: Values) -> None:
        raise StopTraining("while validating")

    made: Any = trainer(looper=Looper())
    made.looper.epoch.validate.validate_batch.loss = Extra(stop)
    assert train(made) == "while validating"
    assert made.model.net.training
