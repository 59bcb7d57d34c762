"""A Session runs, is recorded, and goes on as if nothing had happened."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import ptutils
from ptutils.core.callback import Callback
from ptutils.core.records.run import Run
from ptutils.core.session import Session
from ptutils.db.memory import MemoryInterface
from ptutils.errors import (
    ConfigError,
    DatabaseError,
    EncodeError,
    LeaseError,
    NotFoundError,
    StateMismatchError,
    StopTraining,
)
from ptutils.meta.registry import register
from tests.core.experiment import STEPS_PER_EPOCH, config


def run(**changes: Any) -> Run:
    session = Session.from_meta(config=config(**changes))
    result = session.run()
    assert result is not None
    return result


def points(found: Run) -> dict[str, list[tuple[int, int, float]]]:
    history = found.history
    return {
        path: [(p.step, p.epoch, p.value) for p in history[path]]
        for path in history.paths()
    }


def newest_digest(found: Run) -> str:
    checkpoint = found.newest()
    assert checkpoint is not None
    return checkpoint.digest


@register
class StopAt(Callback):
    """Stops or fails at one step, once."""

    def __init__(self, step: int, how: str = "stop") -> None:
        self.step = step
        self.how = how

    def end_of_training_step(self, step: int) -> None:
        if step != self.step:
            return
        if self.how == "stop":
            raise StopTraining("asked to")
        if self.how == "interrupt":
            raise KeyboardInterrupt
        raise ZeroDivisionError("by the test")


@register
class SignalAt(Callback):
    """Sends its own process a signal in the middle of one step."""

    def __init__(self, step: int, number: int, times: int = 1) -> None:
        self.step = step
        self.number = number
        self.times = times

    def before_update(self, step: int) -> None:
        if step + 1 == self.step:
            for _ in range(self.times):
                signal.raise_signal(signal.Signals(self.number))


@register
class ResumeAt(Callback):
    """Tries to resume the very run that is being written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def end_of_training_step(self, step: int, session: Any) -> None:
        if step == self.step:
            (found,) = session.dbinterface.runs.find()
            found.resume().run()


@register
class DeleteAt(ResumeAt):
    """Deletes the run that is being written."""

    def end_of_training_step(self, step: int, session: Any) -> None:
        if step == self.step:
            session.dbinterface.delete({}, "runs")


@register
class StealAt(ResumeAt):
    """Gives the lease of the run that is being written to somebody else."""

    def end_of_training_step(self, step: int, session: Any) -> None:
        if step == self.step:
            change = {"$set": {"lease.owner": "somebody"}}
            session.dbinterface.update({}, change, collection="runs")


def session_with(callback: Callback) -> Any:
    session = Session.from_meta(config=config())
    session.trainer.register_callback(callback)
    return session


def run_with(callback: Callback) -> Run:
    result: Run = session_with(callback).run()
    return result


def written_in_python() -> Session:
    build = ptutils.build
    ptutils.seed(3)
    net = build(
        torch.nn.Sequential,
        build(torch.nn.Flatten),
        build(torch.nn.Linear, 64, 32),
        build(torch.nn.BatchNorm1d, 32),
        build(torch.nn.ReLU),
        build(torch.nn.Dropout, 0.3),
        build(torch.nn.Linear, 32, 10),
    )
    model = ptutils.Model(
        net,
        criterion=build(torch.nn.CrossEntropyLoss),
        optimizer=build(torch.optim.AdamW, lr=0.01, betas=(0.9, 0.98)),
        scheduler=build(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=60),
        scheduler_every="1 step",
        metrics={
            "accuracy": build(
                "torchmetrics.classification.MulticlassAccuracy",
                num_classes=10,
                average="micro",
            )
        },
        device="cpu",
    )
    augment = [ptutils.Shift(pixels=1), ptutils.Noise(std=0.1)]
    provider = ptutils.DataProvider(
        datasets={
            "train": ptutils.Digits(split="train", transform=augment),
            "valid": ptutils.Digits(split="valid"),
        },
        loaders={
            "train": ptutils.DataLoader(batch_size=256, shuffle=True, num_workers=0),
            "valid": ptutils.DataLoader(batch_size=100),
        },
    )
    return Session(
        ptutils.Trainer(
            model,
            callbacks=[
                ptutils.NaNDetector(),
                ptutils.EarlyStopping(metric="valid.loss", patience=50),
            ],
        ),
        dataprovider=provider,
        dbinterface=ptutils.MemoryInterface(),
        schedule=ptutils.Schedule("3 epochs", validate="1 epoch", checkpoint="1 step"),
        experiment="test",
        seed=3,
        progress=False,
    )


@pytest.fixture(scope="module")
def whole() -> Run:
    return run()


def test_run_is_completed_with_every_step_once(whole: Run) -> None:
    steps = [p.step for p in whole.history["train.loss"]]
    assert whole.status.phase == "completed"
    assert steps == list(range(1, 3 * STEPS_PER_EPOCH + 1))


def test_run_learns_to_read_digits(whole: Run) -> None:
    assert whole.summary.valid.accuracy.max > 0.6


def test_same_config_gives_same_bits(whole: Run) -> None:
    again = run()
    assert newest_digest(again) == newest_digest(whole)
    assert points(again) == points(whole)


@pytest.mark.parametrize("step", range(3 * STEPS_PER_EPOCH))
def test_run_resumed_from_any_step_equals_uninterrupted_run(
    whole: Run, step: int
) -> None:
    resumed = whole.resume(step=step).run()
    assert resumed is not None
    assert newest_digest(resumed) == newest_digest(whole)
    assert points(resumed) == points(whole)


def test_extended_run_equals_run_that_was_longer_from_the_start(whole: Run) -> None:
    short = run(schedule__duration="2 epochs")
    extended = short.resume({"schedule.duration": "3 epochs"}).run()
    assert extended is not None
    assert newest_digest(extended) == newest_digest(whole)
    assert points(extended) == points(whole)


def test_python_and_yaml_give_equal_configs_and_equal_bits(
    whole: Run, tmp_path: Path
) -> None:
    path = config().save(tmp_path / "experiment.yaml")
    from_yaml = Session.from_meta(config=path)
    written = written_in_python()
    assert written.config == from_yaml.config
    assert written.config.diff(from_yaml.config) == {}
    result = written.run()
    assert result is not None
    assert newest_digest(result) == newest_digest(whole)


def test_stop_training_completes_the_run_with_its_reason() -> None:
    found = run_with(StopAt(5))
    assert found.status.phase == "completed"
    assert found.status.reason == "asked to"
    assert found.status.progress["step"] == 5


def test_exception_fails_the_run_and_is_stored_with_its_traceback() -> None:
    session = session_with(StopAt(5, "fail"))
    with pytest.raises(ZeroDivisionError):
        session.run()
    (found,) = session.dbinterface.runs.find()
    exception = found.status.exception
    assert found.status.phase == "failed"
    assert exception is not None
    assert exception["message"] == "by the test"
    assert "end_of_training_step" in exception["traceback"]


def test_failed_session_goes_on_from_its_newest_checkpoint(whole: Run) -> None:
    session = session_with(StopAt(5, "fail"))
    with pytest.raises(ZeroDivisionError):
        session.run()
    session.trainer.callbacks.unregister("stop_at")
    found = session.run()
    assert found is not None
    assert points(found) == points(whole)
    assert newest_digest(found) == newest_digest(whole)


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
)
def test_signal_saves_and_marks_the_run_interrupted(
    whole: Run, number: signal.Signals, raised: type[BaseException]
) -> None:
    session = session_with(SignalAt(7, int(number)))
    with pytest.raises(raised):
        session.run()
    (found,) = session.dbinterface.runs.find()
    assert found.status.phase == "interrupted"
    newest = found.newest()
    assert newest is not None
    assert newest.step == 7
    session.trainer.callbacks.unregister("signal_at")
    resumed = session.run()
    assert resumed is not None
    assert newest_digest(resumed) == newest_digest(whole)


def test_second_interrupt_stops_at_once() -> None:
    session = session_with(SignalAt(7, int(signal.SIGINT), times=2))
    with pytest.raises(KeyboardInterrupt, match="interrupted twice"):
        session.run()
    (found,) = session.dbinterface.runs.find()
    assert found.status.phase == "interrupted"


def test_run_that_is_being_written_cannot_be_resumed() -> None:
    session = session_with(ResumeAt(4))
    with pytest.raises(LeaseError, match="is writing it"):
        session.run()


def test_branch_without_changes_ends_in_the_same_bits(whole: Run) -> None:
    session = whole.branch(step=7)
    branched = session.run()
    assert branched is not None
    assert branched.id != whole.id
    assert branched.status.origin == "branched"
    assert branched.lineage["parent"] == whole.id
    assert newest_digest(branched) == newest_digest(whole)
    assert next(iter(branched.history["train.loss"])).step == 8


def test_branch_with_another_learning_rate_learns_at_that_rate(whole: Run) -> None:
    name = "trainer.model.optimizer.lr"
    session = whole.branch({name: 0.001}, step=7)
    (group,) = session.trainer.model.optimizer.param_groups
    before = whole.checkpoint(7).state.trainer.model.optimizer["param_groups"][0]
    assert group["initial_lr"] == 0.001
    assert group["lr"] == pytest.approx(before["lr"] / 10)
    assert session.trainer.model.scheduler.base_lrs == [0.001]
    branched = session.run()
    assert branched is not None
    assert branched.config[name] == 0.001
    assert branched.lineage["overrides"] == {name: 0.001}
    assert newest_digest(branched) != newest_digest(whole)


def test_branch_keeps_its_own_checkpoint_from_the_start(whole: Run) -> None:
    session = whole.branch({"schedule.duration": "8 steps"}, step=7)
    branched = session.run()
    assert branched is not None
    assert branched.checkpoints[0].why == "start"
    assert branched.checkpoints[0].digest != ""


def test_unknown_step_is_refused_with_those_that_exist(whole: Run) -> None:
    with pytest.raises(NotFoundError, match="no checkpoint at step 1000"):
        whole.resume(step=1000)


def test_run_without_checkpoint_cannot_be_branched(whole: Run) -> None:
    found = run(schedule__duration="1 step", schedule__checkpoint=None)
    found.db.delete({"run": found.id}, "checkpoints")
    with pytest.raises(NotFoundError, match="no checkpoint to branch from"):
        found.branch()


def test_run_killed_before_its_first_checkpoint_starts_again(whole: Run) -> None:
    found = run()
    found.db.delete({"run": found.id}, "checkpoints")
    resumed = found.resume().run()
    assert resumed is not None
    assert points(resumed) == points(whole)


def test_checkpoints_are_kept_as_the_schedule_says() -> None:
    found = run(schedule__keep={"last": 2})
    assert [checkpoint.step for checkpoint in found.checkpoints] == [18, 18]


def test_session_without_database_trains_and_returns_nothing() -> None:
    session = Session.from_meta(config=config(dbinterface=None))
    assert session.run() is None
    assert session.trainer.step == 3 * STEPS_PER_EPOCH
    assert session.status.progress["fraction"] == 1.0
    assert session.status.phase == "completed"
    assert session.id is None


def test_value_that_cannot_be_stored_fails_the_run_and_names_its_path() -> None:
    session = session_with(StopAt(100))
    session.trainer.state.oddity = object()
    with pytest.raises(EncodeError, match=r"trainer\.state\.oddity"):
        session.run()


def test_config_of_another_net_refuses_the_state(whole: Run) -> None:
    wider = {
        "trainer.model.net.args.1.out_features": 16,
        "trainer.model.net.args.2.num_features": 16,
        "trainer.model.net.args.5.in_features": 16,
    }
    with pytest.raises(StateMismatchError, match=r"trainer\.model\.net\.1\.weight"):
        whole.resume(wider)


def test_misspelt_override_names_the_nearest(whole: Run) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.duration"):
        whole.resume({"schedule.durations": "4 epochs"})


def test_run_deleted_meanwhile_is_an_error() -> None:
    session = session_with(DeleteAt(4))
    with pytest.raises(NotFoundError, match="is not in the database"):
        session.run()


def test_lease_taken_over_meanwhile_is_an_error() -> None:
    session = session_with(StealAt(4))
    with pytest.raises(LeaseError, match="another process took the run over"):
        session.run()


LR = "trainer.model.optimizer.lr"


def test_resume_with_changes_that_was_killed_before_it_saved_keeps_them() -> None:
    changes = {LR: 0.5, "schedule.duration": "4 epochs"}
    expected = run(schedule__checkpoint="1 epoch").resume(changes).run()
    found = run(schedule__checkpoint="1 epoch")
    session = found.resume(changes)
    session._begin()  # What is left when the process dies before its first checkpoint.
    session._recording._recorder.finish()
    resumed = found.resume()
    (group,) = resumed.trainer.model.optimizer.param_groups
    assert group["initial_lr"] == 0.5
    result = resumed.run()
    assert result is not None
    assert expected is not None
    assert points(result) == points(expected)


def test_checkpoint_is_rebuilt_under_the_config_it_was_taken_under() -> None:
    found = run()
    expected = found.branch(step=6).run()
    noise = "dataprovider.datasets.train.transform.1.std"
    changed = found.resume({noise: 0.9}, step=12).run()
    assert changed is not None
    assert changed.config[noise] == 0.9
    branched = changed.branch(step=6).run()
    assert branched is not None
    assert expected is not None
    assert branched.config[noise] == 0.1
    assert points(branched) == points(expected)


def test_complete_run_with_nothing_to_do_is_left_as_it_is() -> None:
    found = run()
    before = found.refresh().document
    result = found.resume({"schedule.duration": "1 epoch"}).run()
    assert result is not None
    assert result.refresh().document == before
    assert len(result.checkpoints) == len(found.checkpoints)


def test_resume_under_another_experiment_is_found_there() -> None:
    found = run(schedule__duration="2 steps")
    changes = {"experiment": "other", "schedule.duration": "3 steps"}
    result = found.resume(changes).run()
    assert result is not None
    assert result.experiment == result.config["experiment"] == "other"


def test_run_cannot_be_moved_to_another_database() -> None:
    found = run(schedule__duration="2 steps")
    with pytest.raises(ConfigError, match="cannot move a run to another database"):
        found.resume({"dbinterface": "other.db"})


@register
class SaveAt(ResumeAt):
    """Asks for a checkpoint in the middle of one step."""

    def after_update(self, session: Any, step: int) -> None:
        if step == self.step:
            session.checkpoint("mine")

    def end_of_training_step(self) -> None:  # type: ignore[override]
        """React to nothing else."""


@register
class Counter(Callback):
    """Counts steps in its state and records the count."""

    def __init__(self) -> None:
        self.state.count = 0

    def after_fit_batch(self, history: Any, step: int, epoch: int) -> None:
        self.state.count += 1
        history.record(step, epoch, "count", self.state.count)


def test_checkpoint_asked_for_in_a_step_holds_the_whole_step() -> None:
    changes = {
        "schedule__checkpoint": None,
        "trainer__callbacks": [{"class": "Counter"}, {"class": "SaveAt", "step": 8}],
    }
    found = run(**changes)
    (asked,) = [each for each in found.checkpoints if each.why == "mine"]
    assert asked.step == 8
    resumed = found.resume(step=8).run()
    assert resumed is not None
    counts = [(p.step, p.value) for p in resumed.history["count"]]
    assert counts == [(step, step) for step in range(1, 19)]


def test_what_cannot_work_is_refused_before_there_is_a_run() -> None:
    session = Session.from_meta(
        config=config(schedule__keep={"best": {"metric": "valid.acc", "mode": "max"}})
    )
    with pytest.raises(ConfigError, match=r"valid\.accuracy"):
        session.run()
    assert len(session.dbinterface.runs.find()) == 0


def test_end_that_cannot_be_written_is_no_end() -> None:
    session = session_with(DeleteAt(18))
    with pytest.raises(NotFoundError) as failed:
        session.run()
    assert session.status.phase != "completed"
    assert "the database does not know of this" in failed.value.__notes__[0]


class Refusing(MemoryInterface):
    """A database that has no room for the checkpoint of one step."""

    def _insert(self, collection: str, documents: Any) -> None:
        if collection == "checkpoints" and any(d["step"] == 2 for d in documents):
            raise DatabaseError("no room on the disk")
        super()._insert(collection, documents)


class FailAfter(Callback):
    """Fails as soon as the second step is saved."""

    def before_gradient(self, step: int) -> None:
        if step == 2:
            raise ValueError("a fault of its own")


def test_failure_is_recorded_though_a_checkpoint_before_it_was_not() -> None:
    session = session_with(FailAfter())
    session.dbinterface = Refusing()
    with pytest.raises(ValueError, match="a fault of its own") as failed:
        session.run()
    (note,) = failed.value.__notes__
    assert note == "a checkpoint could not be written: no room on the disk"
    (run,) = session.dbinterface.runs.find()
    assert run.status.phase == "failed"
    assert run.newest().step == 1


class Full(MemoryInterface):
    """A database that has no room to write that a run is let go of, for a while."""

    is_full = True

    def _update(self, collection: str, filter: Any, update: Any, **how: Any) -> int:
        if self.is_full and update.get("$set", {}).get("lease", "") is None:
            raise DatabaseError("no room on the disk")
        return super()._update(collection, filter, update, **how)


def test_run_that_could_not_be_let_go_of_is_resumed_at_once() -> None:
    session = Session.from_meta(config=config(schedule__duration="2 steps"))
    session.dbinterface = database = Full()
    with pytest.raises(DatabaseError, match="no room on the disk"):
        session.run()
    database.is_full = False
    (run,) = database.runs.find()
    assert run.document["lease"] is not None
    resumed = run.resume({"schedule.duration": "3 steps"}).run()
    assert resumed.status.phase == "completed"
    assert resumed.document["lease"] is None


def test_session_is_called_to_run_it() -> None:
    result = Session.from_meta(config=config(schedule__duration="1 step"))()
    assert result is not None
    assert result.status.phase == "completed"


@register
class FlushAfter(ResumeAt):
    """Waits at the end of a step for the checkpoint of the one before."""

    def end_of_training_step(self, step: int, session: Any) -> None:
        if step == self.step:
            session.flush()
            newest = session.database.runs.get(session.id).newest()
            assert (newest.step, newest.why) == (step - 1, "schedule")


def test_checkpoint_that_was_flushed_is_there_while_training_goes_on() -> None:
    found = config(schedule__duration="5 steps", schedule__checkpoint="1 step")
    session = Session.from_meta(config=found)
    session.trainer.callbacks.register(FlushAfter(4))
    assert session.run().status.phase == "completed"


def test_checkpoint_before_the_first_run_is_nothing_to_keep() -> None:
    session = Session.from_meta(config=config())
    session.checkpoint()
    assert len(session.dbinterface.runs.find()) == 0


@register
class ReplaceAt(ResumeAt):
    """Puts another loss in place of the model's, at the end of one step."""

    def end_of_training_step(self, step: int, session: Any) -> None:
        if step == self.step:
            loss = ptutils.build(torch.nn.CrossEntropyLoss, label_smoothing=0.1)
            session.trainer.model.criterion = loss


def test_checkpoint_brings_back_what_was_there_at_its_step() -> None:
    found = run_with(ReplaceAt(4))
    assert found.resume(step=3).trainer.model.criterion.label_smoothing == 0
    resumed = found.resume(step=5)
    assert resumed.trainer.model.criterion.label_smoothing == 0.1
    result = resumed.run()
    assert result is not None
    assert points(result) == points(found)


def test_object_that_is_no_callback_of_ours_may_react() -> None:
    seen = []

    class Listener:
        def after_update(self, step: int) -> None:
            seen.append(step)

        def state_dict(self) -> dict[str, Any]:
            return {}

        def load_state_dict(self, state: Any) -> None:
            """Take over nothing."""

    session = Session.from_meta(config=config(schedule__duration="2 steps"))
    session.trainer.callbacks.register(Listener())
    session.run()
    assert seen == [1, 2]


def test_resumed_session_writes_every_database_of_its_config(tmp_path: Path) -> None:
    urls = [str(tmp_path / name) for name in ("one.db", "two.db")]
    databases = [{"class": "SQLiteInterface", "path": url} for url in urls]
    found = config(dbinterface=databases, schedule__duration="3 steps")
    ptutils.Session.from_meta(config=found).run()
    one, two = map(ptutils.connect, urls)
    one.runs.find()[0].resume({"schedule.duration": "5 steps"}).run()
    first, second = one.runs.find()[0], two.runs.find()[0]
    assert first.document == second.document
    assert first.newest().digest == second.newest().digest
    assert list(second.history["train.loss"].steps) == [1, 2, 3, 4, 5]


def test_copy_of_a_run_is_resumed_where_it_is_alone(tmp_path: Path) -> None:
    urls = [str(tmp_path / name) for name in ("one.db", "two.db", "copy.db")]
    databases = [{"class": "SQLiteInterface", "path": url} for url in urls[:2]]
    found = config(dbinterface=databases, schedule__duration="3 steps")
    run = ptutils.Session.from_meta(config=found).run()
    run.export(urls[2])
    before = ptutils.connect(urls[1]).runs.find()[0].document
    copy = ptutils.connect(urls[2]).runs.find()[0]
    copy.resume({"schedule.duration": "5 steps"}).run()
    assert ptutils.connect(urls[1]).runs.find()[0].document == before


def test_tags_of_a_person_stay_and_those_of_a_changed_config_are_written() -> None:
    found = config(schedule__duration="1 step")
    run = ptutils.Session.from_meta(config=found).run()
    run.tag("mine")
    run.resume({"schedule.duration": "2 steps"}).run()
    assert run.refresh().tags == ["mine"]
    run.resume({"schedule.duration": "3 steps", "tags": ["new"]}).run()
    assert run.refresh().tags == ["new"]


def test_one_database_is_not_taken_twice(tmp_path: Path) -> None:
    url = str(tmp_path / "runs.db")
    with pytest.raises(ConfigError, match="cannot keep a run twice in one database"):
        ptutils.Session.from_meta(config=config(dbinterface=[url, url]))
