"""Sessions that begin with a stored run: branched, restarted, evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import ptutils
from ptutils.core.records.run import Run
from ptutils.core.session import Session
from ptutils.db.memory import MemoryInterface
from ptutils.errors import (
    ConfigError,
    CorruptError,
    LeaseError,
    NotFoundError,
    StateMismatchError,
    StatusError,
)
from tests.core.experiment import config
from tests.core.stored import ENCODED, FIELDS, Writer

SGD = {
    "trainer.model.optimizer": {"class": "torch.optim.SGD", "lr": 0.1},
    "trainer.model.scheduler": None,
}


class Other(ptutils.Module):
    """Something that is kept in a database, and is no Session."""

    def __init__(self, dbinterface: Any) -> None: ...


@pytest.fixture(scope="module")
def trained() -> Run:
    """A run of 2 steps with a checkpoint at each, validated at the second."""
    short = config(schedule__duration="2 steps", schedule__validate="2 steps")
    run = Session.from_meta(config=short).run()
    assert run is not None
    return run


def ended(session: Session) -> Run:
    run = session.run()
    assert run is not None
    return run


def weights(holder: Any) -> torch.Tensor:
    net = holder["trainer"]["model"]["net"]
    weight: torch.Tensor = net["1.weight"]
    return weight


def test_branch_takes_over_a_part_with_another_optimizer(trained: Run) -> None:
    session = trained.branch(SGD, step=1, select="trainer.model.net")
    state = trained.checkpoint(1).state
    assert torch.equal(weights(session.state_dict()), weights(state))
    assert type(session.trainer.model.optimizer) is torch.optim.SGD
    assert session.trainer.step == 0
    report = session.load_report
    assert report is not None
    assert all(path.startswith("trainer.model.net.") for path in report.loaded)


def test_branch_of_a_part_runs_from_step_0_by_its_seed(trained: Run) -> None:
    part = {"select": "trainer.model.net", "db": MemoryInterface()}
    one, other = (ended(trained.branch(SGD, **part)) for _ in range(2))
    assert one.history["train.loss"] == other.history["train.loss"]
    assert list(one.history["train.loss"].steps) == [1, 2]
    nothing = dict.fromkeys(["missing", "unexpected", "mismatched", "initialized"], 0)
    assert one.lineage["restored"] == {"loaded": 9, **nothing}
    assert one.status.origin == "branched"


def test_branch_renames_what_moved(trained: Run) -> None:
    old = trained.config["trainer.model.net.args"]
    wider = {"class": "torch.nn.Sequential", "args": [old[0], *old]}
    moved = {f"trainer.model.net.{n}": f"trainer.model.net.{n + 1}" for n in (1, 2, 5)}
    session = trained.branch(
        {"trainer.model.net": wider}, select="trainer.model.net", rename=moved
    )
    net = session.trainer.model.net
    newest = trained.newest()
    assert newest is not None
    assert torch.equal(net[2].weight, weights(newest.state))


def test_branch_leaves_what_the_state_lacks_as_it_was_built(trained: Run) -> None:
    deeper = [
        *trained.config["trainer.model.net.args"],
        {"class": "torch.nn.Linear", "in_features": 10, "out_features": 10},
    ]
    changes = {"trainer.model.net.args": deeper}
    session = trained.branch(changes, select="trainer.model.net")
    report = session.load_report
    assert report is not None
    assert report.missing == ("trainer.model.net.6.weight", "trainer.model.net.6.bias")


def test_branch_begins_anew_where_the_state_does_not_fit(trained: Run) -> None:
    layers = [*trained.config["trainer.model.net.args"]]
    layers[-1] = {**layers[-1], "bias": False}
    session = trained.branch(
        {"trainer.model.net.args": layers}, mismatched="initialize", db="memory:"
    )
    report = session.load_report
    assert report is not None
    assert report.unexpected == ("trainer.model.net.5.bias",)
    assert report.initialized == ("trainer.model.optimizer",)
    run = ended(session)
    assert run.lineage["restored"]["mismatched"] == 1
    assert run.lineage["restored"]["initialized"] == 1


def test_branch_may_refuse_what_is_missing(trained: Run) -> None:
    deeper = [
        *trained.config["trainer.model.net.args"],
        {"class": "torch.nn.Linear", "in_features": 10, "out_features": 10},
    ]
    with pytest.raises(StateMismatchError, match=r"missing trainer\.model\.net\.6"):
        trained.branch(
            {"trainer.model.net.args": deeper},
            select="trainer.model.net",
            missing="error",
        )


def test_branch_that_selects_nothing_is_refused(trained: Run) -> None:
    with pytest.raises(StateMismatchError, match=r"cannot select 'trainer\.modl'"):
        trained.branch(select="trainer.modl")


def test_branch_in_another_database_knows_where_it_is_from(
    trained: Run, tmp_path: Path
) -> None:
    url = f"{tmp_path}/other.db"
    run = ended(trained.branch({"schedule.duration": "3 steps"}, db=url))
    assert run.db.url == url
    assert run.lineage["database"] == trained.db.url
    assert (run.lineage["parent"], run.status.progress["step"]) == (trained.id, 3)
    assert run.lineage().phase == "elsewhere"
    other = ended(run.branch(db=ptutils.connect(url)))
    assert "database" not in other.lineage


def test_database_is_no_setting_of_a_branch(trained: Run) -> None:
    with pytest.raises(ConfigError, match="cannot move a run to another database"):
        trained.branch({"dbinterface": "other.db"})


def test_config_of_something_else_than_a_session_is_refused() -> None:
    writer = Writer()
    config = {"class": "tests.core.records.verbs.test_starting.Other"}
    writer.recorder.create(dict(FIELDS), {**ENCODED, "config": config})
    (run,) = writer.db.runs.find()
    with pytest.raises(ConfigError, match="cannot go on with this config"):
        run.restart(trust=["tests"])


def test_session_without_a_database_starts_there(trained: Run) -> None:
    session = trained.restart(provide={"dbinterface": None})
    assert session.run() is None


def test_restart_begins_anew_with_the_newest_config(trained: Run) -> None:
    session = trained.restart({"seed": 4}, db=MemoryInterface())
    assert session.trainer.step == 0
    run = ended(session)
    assert run.status.origin == "restarted"
    assert list(run.history["train.loss"].steps) == [1, 2]
    assert run.lineage == {
        "verb": "restart",
        "parent": trained.id,
        "checkpoint": None,
        "overrides": {"seed": 4},
        "database": trained.db.url,
    }


def test_restart_repeats_the_run_bit_for_bit(trained: Run) -> None:
    again = ended(trained.restart())
    newest, repeated = trained.newest(), again.newest()
    assert newest is not None
    assert repeated is not None
    assert torch.equal(weights(newest.state), weights(repeated.state))


def test_evaluation_measures_what_validation_did(trained: Run) -> None:
    run = ended(trained.evaluate())
    assert run.history.paths() == ["valid.loss", "valid.accuracy"]
    assert run.history["valid.loss"] == trained.history["valid.loss"]
    assert run.status.phase == "completed"
    assert run.status.origin == "evaluated"
    assert run.checkpoints == []
    newest = trained.newest()
    assert newest is not None
    assert run.lineage["verb"] == "evaluate"
    assert (run.lineage["parent"], run.lineage["checkpoint"]) == (trained.id, newest.id)


def test_evaluation_of_a_split_that_training_did_not_have(trained: Run) -> None:
    changes = {
        "dataprovider.datasets.test": {"class": "Digits", "split": "test"},
        "dataprovider.loaders.test": {"class": "DataLoader", "batch_size": 50},
    }
    run = ended(trained.evaluate(changes, step=1, split="test", db=MemoryInterface()))
    assert run.history.paths() == ["test.loss", "test.accuracy"]
    assert list(run.history["test.loss"].steps) == [1]


def test_evaluation_is_not_resumed_as_a_training(trained: Run) -> None:
    run = ended(trained.evaluate(db=MemoryInterface()))
    with pytest.raises(StatusError, match="which only measured a checkpoint"):
        run.resume()


def test_evaluation_of_another_net_is_refused(trained: Run) -> None:
    name = "trainer.model.net.args.5.out_features"
    with pytest.raises(StateMismatchError, match="cannot load state"):
        trained.evaluate({name: 11})


def test_run_that_was_never_saved_can_only_be_restarted() -> None:
    writer = Writer()
    writer.create()
    (run,) = writer.db.runs.find()
    with pytest.raises(NotFoundError, match="has no checkpoint to evaluate"):
        run.evaluate()


def test_run_that_is_written_cannot_be_resumed() -> None:
    writer = Writer()
    run_id = writer.create()
    with pytest.raises(LeaseError, match="is writing it; its lease holds until"):
        writer.db.runs.get(run_id).resume()


class Pruning(MemoryInterface):
    """Drops the oldest checkpoint right after the newest was looked for."""

    drops = False

    def _find(self, collection: str, *arguments: Any, **options: Any) -> Any:
        found = super()._find(collection, *arguments, **options)
        if self.drops and collection == "checkpoints" and options.get("limit"):
            self.drops = False
            self._delete("checkpoints", {"_id": found[0]["_id"]})
        return found


def test_checkpoint_that_is_dropped_while_it_is_looked_for_is_not_missed() -> None:
    db = Pruning()
    found = config(schedule__duration="3 steps")
    found = ptutils.Config({**found, "dbinterface": None})
    run = found.configure(provide={"dbinterface": db}).run()
    db.drops = True
    assert run.branch().trainer.step == 2


def test_checkpoint_that_was_dropped_since_it_was_found_says_so() -> None:
    writer = Writer()
    run_id = writer.create()
    writer.save(1)
    checkpoint = writer.db.runs.get(run_id).newest()
    writer.db.delete({}, "checkpoints")
    with pytest.raises(NotFoundError, match="dropped since it was found"):
        _ = checkpoint.state


def damaged(*steps: int) -> Run:
    """Return a run of 3 steps, the checkpoints of some of which are damaged."""
    short = config(schedule__duration="3 steps", schedule__checkpoint="1 step")
    run = Session.from_meta(config=short).run()
    assert run is not None
    for step in steps:
        which = {"run": run.id, "step": step}
        run.db._update("checkpoints", which, {"$set": {"state.digest": "0"}})
    return run


def test_resume_of_a_damaged_checkpoint_is_refused() -> None:
    with pytest.raises(CorruptError, match=r"cannot load checkpoint '\w+\.00000003"):
        damaged(3).resume()


def test_resume_falls_back_to_the_newest_whole_checkpoint_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    session = damaged(3, 2).resume(fallback=True)
    assert session.trainer.step == 1
    assert caplog.text.count("cannot load checkpoint") == 2
    assert "instead" in caplog.text
    assert "step=1" in caplog.text
    run = ended(session)
    assert (run.newest() or run).step == 3
    assert list(run.history["train.loss"].steps) == [1, 2, 3]


def test_resume_falls_back_no_further_than_there_are_checkpoints() -> None:
    with pytest.raises(CorruptError, match=r"cannot load checkpoint '\w+\.00000000"):
        damaged(0, 1, 2, 3).resume(fallback=True)


def test_run_without_checkpoints_resumes_from_its_beginning() -> None:
    run = damaged()
    run.db.delete({"run": run.id}, "checkpoints")
    assert run.resume(fallback=True).trainer.step == 0
