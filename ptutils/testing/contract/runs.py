"""Runs: a tiny experiment recorded, resumed, branched and pruned on a database."""

from __future__ import annotations

import pytest

from ptutils.core.dbinterface import DBInterface
from ptutils.core.records.run import Run
from ptutils.core.session import Session
from ptutils.errors import LeaseError
from ptutils.meta.values import Document, Value
from ptutils.testing.contract.base import Contract
from ptutils.testing.experiment import STEPS_PER_EPOCH, experiment

__all__ = ["RunsContract"]


def run(db: DBInterface, **settings: Value) -> Run:
    """Run the experiment to its end."""
    found = experiment(db, **settings).run()
    assert found is not None
    return found


def digest(found: Run) -> str:
    """Return the digest of the newest State: equal ones are equal bits."""
    newest = found.newest()
    assert newest is not None
    return newest.digest


def ran(session: Session) -> Run:
    """Run a session to its end."""
    found = session.run()
    assert found is not None
    return found


class RunsContract(Contract):
    """What a person who trains does with a database."""

    def test_run_is_recorded(self, db: DBInterface) -> None:
        found = run(db)
        (listed,) = db.runs.find({"status.phase": "completed"})
        assert listed.id == found.id
        assert listed.config == found.config
        assert listed.summary.train.loss.first > listed.summary.train.loss.last

    def test_history_has_every_step_once(self, db: DBInterface) -> None:
        found = run(db)
        assert list(found.history["train.loss"].steps) == [
            *range(1, 2 * STEPS_PER_EPOCH + 1)
        ]

    def test_runs_of_one_seed_are_equal_to_the_bit(self, db: DBInterface) -> None:
        assert digest(run(db)) == digest(run(db))

    def test_runs_are_found_by_config_and_metric(self, db: DBInterface) -> None:
        ids = [run(db, lr=lr).id for lr in (0.01, 0.1, 0.001)]
        found = db.runs.find(
            {"config.trainer.model.optimizer.lr": {"$lte": 0.01}},
            sort=[("summary.train.loss.min", 1)],
            limit=1,
        )
        assert [each.id for each in found] == [ids[0]]

    def test_stopped_run_resumes_to_the_same_bits(self, db: DBInterface) -> None:
        whole = run(db)
        part = run(db, duration="3 steps")
        found = ran(part.resume({"schedule.duration": "2 epochs"}))
        assert (found.id, digest(found)) == (part.id, digest(whole))
        assert found.history["train.loss"].values == whole.history["train.loss"].values

    def test_resume_goes_back_and_keeps_the_old_points(self, db: DBInterface) -> None:
        first = run(db)
        found = ran(first.resume(step=3))
        steps = [list(each["train.loss"].steps) for each in found.segments]
        last = 2 * STEPS_PER_EPOCH
        assert steps == [[*range(1, last + 1)], [*range(4, last + 1)]]
        assert list(found.history["train.loss"].steps) == [*range(1, last + 1)]
        assert digest(found) == digest(first)

    def test_branch_is_a_run_of_its_own(self, db: DBInterface) -> None:
        first = run(db)
        branch = ran(first.branch({"trainer.model.optimizer.lr": 0.5}, step=3))
        assert (branch.lineage["parent"], branch.id != first.id) == (first.id, True)
        assert branch.history["train.loss"].steps[0] == 4
        assert digest(first.refresh()) == digest(first) != digest(branch)

    def test_old_checkpoints_are_pruned(self, db: DBInterface) -> None:
        found = run(db, keep={"last": 2})
        last = 2 * STEPS_PER_EPOCH
        assert len(found.checkpoints) == 2
        assert found.checkpoints[-1].state.trainer.state.step == last

    def test_large_states_come_back(self, db: DBInterface) -> None:
        found = run(db, width=60_000)
        again = ran(found.resume({"schedule.duration": "3 epochs"}))
        assert digest(again) == digest(run(db, width=60_000, duration="3 epochs"))

    def test_running_run_cannot_be_taken(self, db: DBInterface) -> None:
        part = run(db, duration="3 steps")
        one = part.resume({"schedule.duration": "2 epochs"})
        other = part.resume({"schedule.duration": "2 epochs"})
        one._go_on_from_database()
        one._begin()
        with pytest.raises(LeaseError, match="is writing it"):
            other.run()

    @pytest.mark.usefixtures("needs_persistence")
    def test_run_resumes_from_a_database_opened_again(self, db: DBInterface) -> None:
        whole, part = run(db), run(db, duration="3 steps")
        db.close()
        with self.reopen(db) as again:
            found = again.runs.get(part.id)
            resumed = ran(found.resume({"schedule.duration": "2 epochs"}))
            assert digest(resumed) == digest(whole)
            assert (
                resumed.history["train.loss"].values
                == whole.history["train.loss"].values
            )

    def test_fields_are_those_of_every_database(self, db: DBInterface) -> None:
        found = run(db)
        document: Document = found.document
        assert {"_id", "experiment", "config", "status", "summary"} <= document.keys()
        assert db._collections() == ["checkpoints", "history", "runs"]
