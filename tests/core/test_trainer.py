"""A Trainer alone, with data and without a Session."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torchmetrics.classification import MulticlassRecall

import ptutils
from ptutils.backends.torch import TorchBackend
from ptutils.callbacks.early_stopping import EarlyStopping
from ptutils.core.callback import Callback
from ptutils.core.loop.boundaries import Services
from ptutils.core.loop.looper import Looper
from ptutils.core.loop.schedule import Schedule
from ptutils.core.loop.stages import Epoch
from ptutils.data.loader import DataLoader
from ptutils.data.provider import DataProvider
from ptutils.errors import CallbackError, ConfigError
from ptutils.meta.callbacks import Callbacks
from tests.core.experiment import config
from tests.core.training import (
    STEPS_PER_EPOCH,
    TRIGGERS,
    Witness,
    data,
    provider,
    reacting,
    train,
    trainer,
)

LOSS = "train.loss"


def test_training_ends_with_the_schedule() -> None:
    made = trainer()
    assert made(provider(), schedule=Schedule("2 epochs")) == ""
    assert (made.step, made.epoch) == (2 * STEPS_PER_EPOCH, 2)


def test_a_schedule_may_be_left_out() -> None:
    made = trainer()
    made.train(provider())
    assert made.epoch == 10


def test_training_reduces_the_loss() -> None:
    made = trainer(net=torch.nn.Linear(3, 1))
    train(made, "20 epochs")
    losses = made.history["valid.loss"].values
    assert losses[-1] < losses[0] / 10


def test_triggers_come_in_the_order_of_the_drawing() -> None:
    witness = Witness()
    made = trainer(witness)
    made.train(provider(), schedule=Schedule("1 epoch"))
    first_seen = list(dict.fromkeys(entry[0] for entry in witness.log))
    assert first_seen == list(TRIGGERS)


def test_step_counts_updates_done_and_epoch_full_passes() -> None:
    witness = Witness()
    train(trainer(witness), "2 epochs")
    assert [step for _, step, _ in witness.seen("before_update")] == list(range(8))
    assert [step for _, step, _ in witness.seen("after_update")] == list(range(1, 9))
    assert witness.seen("after_epoch") == [("after_epoch", 4, 0), ("after_epoch", 8, 1)]
    assert witness.seen("after_looper") == [("after_looper", 8, 2)]


def test_num_batches_is_known_from_the_start() -> None:
    seen: list[int] = []

    def note(num_batches: int) -> None:
        seen.append(num_batches)

    train(trainer(reacting("before_looper", note), reacting("after_epoch", note)))
    assert seen == [STEPS_PER_EPOCH, STEPS_PER_EPOCH]


def test_metrics_are_those_of_the_last_validation() -> None:
    seen: list[dict[str, float]] = []

    def note(metrics: dict[str, float]) -> None:
        seen.append(metrics)

    made = trainer(reacting("before_validate", note), reacting("after_validate", note))
    train(made)
    assert seen[0] == {}
    assert seen[1] == made.metrics
    assert made.metrics["valid.error"] == made.history.last("valid.error").value


def test_every_trigger_offers_what_the_training_is_made_of() -> None:
    seen: list[Any] = []

    def note(
        trainer: Any, session: Any, model: Any, schedule: Any, history: Any, status: Any
    ) -> None:
        seen.extend([trainer, session, model, schedule, history, status])

    made, schedule = trainer(reacting("before_epoch", note)), Schedule("1 epoch")
    made.train(provider(), schedule=schedule)
    expected = [made, None, made.model, schedule, made.history, made.status]
    assert all(one is other for one, other in zip(seen, expected, strict=True))


def test_a_session_is_offered_with_its_history_and_status() -> None:
    seen: list[Any] = []

    def note(session: Any, history: Any, status: Any) -> None:
        seen.extend([session, history, status])

    made, session = trainer(reacting("before_epoch", note)), ptutils.Module()
    made.train(provider(), schedule=Schedule("1 epoch"), session=session)
    expected = [session, session.history, session.status]
    assert all(one is other for one, other in zip(seen, expected, strict=True))
    assert session.history.paths() == [LOSS, "valid.loss", "valid.error"]


def test_callbacks_of_model_and_caller_come_before_the_trainers() -> None:
    seen: list[str] = []

    def noting(name: str) -> Any:
        return reacting("before_epoch", lambda: seen.append(name))

    made, registry = trainer(noting("trainer")), ptutils.Callbacks()
    made.model.callbacks.register(noting("model"))
    registry.register(noting("caller"))
    registries = [registry, made.model.callbacks]
    made.train(provider(), schedule=Schedule("1 epoch"), registries=registries)
    assert seen == ["caller", "model", "trainer"]


class Away(TorchBackend):
    """A backend whose device is not where batches come from."""

    def __init__(self) -> None:
        self.num_moved = 0

    def is_local(self, device: Any) -> bool:
        return False

    def to_device(self, batch: Any, device: Any) -> Any:
        self.num_moved += isinstance(batch, tuple)
        return super().to_device(batch, device)


def test_batches_are_moved_to_a_device_that_is_elsewhere() -> None:
    made = trainer()
    made.model.backend = away = Away()
    train(made)
    assert away.num_moved == STEPS_PER_EPOCH + 3


def test_losses_are_recorded_by_step_and_epoch() -> None:
    made = trainer()
    train(made, "2 epochs")
    column = made.history[LOSS]
    assert list(column.steps) == list(range(1, 9))
    assert list(column.epochs) == [0] * 4 + [1] * 4


def test_no_validation_needs_no_split_for_it() -> None:
    loaders = {"train": DataLoader(batch_size=4)}
    made = trainer()
    schedule = Schedule("1 epoch", validate=None)
    made.train(DataProvider({"train": data()}, loaders), schedule=schedule)
    assert made.metrics == {}


def test_checkpoints_are_due_after_steps_and_epochs() -> None:
    made, saved = trainer(), []

    def save(why: str, is_ahead: bool = False) -> None:
        saved.append((why, made.step, made.epoch))

    services = Services(save=save)
    schedule = Schedule("2 epochs", checkpoint="3 steps")
    made.train(provider(), schedule=schedule, services=services)
    made.train(provider(), schedule=Schedule("3 epochs"), services=services)
    assert saved == [("schedule", 3, 0), ("schedule", 6, 1), ("schedule", 12, 3)]


def test_properties_before_training_are_those_of_the_state() -> None:
    made = trainer()
    assert (made.step, made.epoch, made.metrics) == (0, 0, {})
    assert (made.elapsed_s, made.reason) == (0.0, "")


def test_elapsed_time_goes_on_from_earlier_processes() -> None:
    made = trainer()
    made.train(provider(), schedule=Schedule("1 step"), elapsed_s=100.0)
    assert made.elapsed_s > 100.0


def test_interruption_finishes_the_step_and_keeps_the_first_reason() -> None:
    def interrupt(trainer: Any) -> None:
        trainer.interrupt("first")
        trainer.interrupt("second")

    made = trainer(reacting("before_gradient", interrupt))
    assert train(made) == made.reason == "first"
    assert made.step == 1


def test_interruption_before_training_takes_no_step() -> None:
    made = trainer()
    made.interrupt("early")
    assert train(made) == "early"
    assert made.step == 0
    assert train(made) == ""


def test_loading_forgets_an_interruption() -> None:
    made = trainer()
    made.interrupt("early")
    made.load_state_dict(trainer().state_dict())
    assert train(made) == ""


def test_failure_passes_through_and_keeps_the_counters() -> None:
    def fail(step: int) -> None:
        if step == 2:
            raise ZeroDivisionError("by the test")

    made = trainer(reacting("before_gradient", fail))
    with pytest.raises(ZeroDivisionError, match="by the test"):
        train(made)
    assert made.state.step == 2


@pytest.mark.parametrize(
    ("missing", "fix"),
    [
        (("criterion",), "add criterion"),
        (("optimizer",), "add optimizer, say {class: torch.optim.AdamW"),
        (("criterion", "optimizer"), "add criterion"),
    ],
)
def test_model_without_what_training_needs_is_refused(
    missing: tuple[str, ...], fix: str
) -> None:
    made = trainer(**dict.fromkeys(missing))
    with pytest.raises(ConfigError, match="cannot train this Model") as caught:
        train(made)
    assert f"no {' and no '.join(missing)}" in str(caught.value)
    assert fix in str(caught.value)


@pytest.mark.parametrize(
    ("split", "fix"),
    [
        ("valid", "set schedule.validate to null"),
        ("train", "add a loader for the split"),
    ],
)
def test_missing_split_is_refused(split: str, fix: str) -> None:
    given: Any = provider()
    del given.loaders[split]
    with pytest.raises(ConfigError, match=f"without a loader for '{split}'") as caught:
        trainer().train(given)
    assert fix in str(caught.value)


def test_data_without_loaders_is_refused() -> None:
    with pytest.raises(ConfigError, match="no loaders"):
        trainer().train(DataProvider({}, {}))


def test_metric_of_several_numbers_is_refused() -> None:
    inputs = torch.randn(4, 3)
    dataset = ptutils.Dataset(ptutils.ArrayReader(inputs, torch.tensor([0, 1, 2, 0])))
    loaders = {"train": DataLoader(batch_size=2), "valid": DataLoader(batch_size=2)}
    recall = MulticlassRecall(num_classes=3, average=None)
    made = trainer(
        net=torch.nn.Linear(3, 3),
        criterion=torch.nn.CrossEntropyLoss(),
        metrics={"recall": recall},
    )
    with pytest.raises(ConfigError, match="cannot record the metric 'recall'"):
        made.train(DataProvider({"train": dataset, "valid": dataset}, loaders))


class Misread(Callback):
    def after_update(self, los: float) -> None:
        """Read a value whose name is misspelt."""


class Measuring(Callback):
    writes = ("metrics",)

    def after_validate(self, metrics: dict[str, float]) -> dict[str, Any]:
        return {"metrics": {**metrics, "valid.own": 1.0}}


class Sparse(ptutils.Stage):
    """A loop without the validation of ptutils."""

    def run(self, values: Any) -> None:
        """Do nothing."""


def keeping(metric: str) -> Schedule:
    return Schedule("1 epoch", keep={"best": {"metric": metric, "mode": "min"}})


def test_check_accepts_what_can_be_trained_and_changes_nothing() -> None:
    made, data = trainer(Witness(), EarlyStopping("valid.error")), provider()
    before = repr(made.state_dict()), repr(data.state_dict())
    made.check(data, schedule=keeping("valid.error"))
    made.check(data)
    assert (repr(made.state_dict()), repr(data.state_dict())) == before


def test_check_refuses_a_model_without_criterion() -> None:
    made = trainer(criterion=None)
    with pytest.raises(ConfigError, match="cannot train this Model"):
        made.check(provider())


def test_check_refuses_a_missing_split() -> None:
    made, data = trainer(), provider()
    del data.loaders["valid"]
    with pytest.raises(ConfigError, match="without a loader for 'valid'"):
        made.check(data)


@pytest.mark.parametrize("mine", [True, False])
def test_check_refuses_a_misspelt_parameter(mine: bool) -> None:
    made, registry = trainer(), Callbacks()
    (made.callbacks if mine else registry).register(Misread())
    with pytest.raises(CallbackError, match=r"parameter 'los'[^$]*mean 'loss'"):
        made.check(provider(), registries=[registry])


def test_check_refuses_to_watch_what_is_not_measured() -> None:
    made = trainer(EarlyStopping("valid.eror"))
    with pytest.raises(ConfigError, match=r"did you mean 'valid\.error'"):
        made.check(provider())


def test_check_refuses_to_keep_the_best_by_what_is_not_measured() -> None:
    made = trainer()
    with pytest.raises(ConfigError, match=r"best\.metric[^$]*mean 'valid\.error'"):
        made.check(provider(), schedule=keeping("valid.eror"))


def test_check_leaves_metrics_that_a_callback_writes_alone() -> None:
    made = trainer(Measuring(), EarlyStopping("valid.own"))
    made.check(provider(), schedule=keeping("valid.own"))


def test_check_leaves_metrics_of_another_validation_alone() -> None:
    looper = Looper(epoch=Epoch(validate=Sparse()))
    trainer(EarlyStopping("valid.own"), looper=looper).check(provider())


def test_trainer_alone_measures_a_split() -> None:
    session = ptutils.Session.from_meta(config=config())
    trainer = session.trainer
    assert trainer.evaluate(session.dataprovider, split="train") == ""
    assert set(trainer.metrics) == {"train.loss", "train.accuracy"}


def test_looper_that_does_not_validate_cannot_measure() -> None:
    session = ptutils.Session.from_meta(config=config())
    looper = ptutils.Looper(epoch=ptutils.Epoch(validate=None))
    trainer = ptutils.Trainer(session.trainer.model, looper=looper)
    with pytest.raises(ConfigError, match="cannot measure with this looper"):
        trainer.evaluate(session.dataprovider)


class Pausing(Callback):
    """Pauses the training once, and lets it go on from another thread."""

    def end_of_training_step(self, step: int, trainer: Any) -> None:
        if step == 2:
            trainer.ask_for_pause("for a moment")
            threading.Timer(0.05, trainer.go_on).start()


def test_training_alone_waits_while_it_is_to_pause() -> None:
    made = trainer(Pausing())
    made.train(provider(), schedule=Schedule("4 steps"))
    assert (made.step, made.reason) == (4, "")
