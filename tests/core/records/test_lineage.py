"""The family of a run: what it descends from, what descends from it."""

from __future__ import annotations

from typing import Any

import pytest

from ptutils.core.records.lineage import Lineage, new_lineage
from ptutils.core.records.run import Run
from ptutils.db.memory import MemoryInterface
from tests.core.stored import ENCODED, FIELDS, Writer, killed


def child_of(parent: str | None, db: Any, verb: str = "branch", **more: Any) -> str:
    """Store a run, and return its id."""
    lineage = {**new_lineage(), "verb": verb, "parent": parent, **more}
    writer = Writer(db)
    writer.recorder.create(dict(FIELDS), {**ENCODED, "lineage": lineage})
    writer.status.advance(7, 0)
    writer.end()
    return writer.recorder.run_id


def run_of(db: Any, run_id: str) -> Run:
    (run,) = db.runs.find({"_id": run_id})
    assert isinstance(run, Run)
    return run


@pytest.fixture
def db() -> MemoryInterface:
    return MemoryInterface()


def test_lineage_is_a_dict_of_what_the_run_descends_from(db: MemoryInterface) -> None:
    lineage = run_of(db, child_of("a", db)).lineage
    assert isinstance(lineage, Lineage)
    assert (lineage["verb"], lineage["parent"]) == ("branch", "a")


def test_family_is_all_ancestors_and_all_descendants(db: MemoryInterface) -> None:
    top = child_of(None, db, "new")
    middle = child_of(top, db)
    child_of(top, db)  # A brother.
    first = child_of(middle, db, checkpoint=f"{middle}.00000030.0.1.schedule")
    second = child_of(middle, db, "evaluate")
    grandchild = child_of(first, db, "restart")
    tree = run_of(db, middle).lineage()
    assert [kin.run for kin in tree.walk()][:2] == [top, middle]
    assert {kin.run for kin in tree.walk()} == {top, middle, first, second, grandchild}
    assert [kin.is_self for kin in tree.walk()] == [False, True, False, False, False]
    (found,) = (kin for kin in tree.walk() if kin.run == first)
    assert (found.verb, found.start, found.step) == ("branch", 30, 7)
    assert found.phase == "completed"


def test_family_prints_as_a_tree_with_the_run_marked(db: MemoryInterface) -> None:
    top = child_of(None, db, "new")
    middle = child_of(top, db, checkpoint=f"{top}.00000003.0.1.last")
    brothers = sorted(child_of(middle, db, "restart") for _ in range(2))
    last = child_of(brothers[0], db, "evaluate")
    assert str(run_of(db, middle).lineage()) == (
        f"{top}  new, completed at step 7\n"
        f"└── {middle}  branch at 3, completed at step 7  ← this run\n"
        f"    ├── {brothers[0]}  restart, completed at step 7\n"
        f"    │   └── {last}  evaluate, completed at step 7\n"
        f"    └── {brothers[1]}  restart, completed at step 7"
    )


def test_family_is_plain_nested_values(db: MemoryInterface) -> None:
    top = child_of(None, db, "new")
    child = child_of(top, db)
    plain = run_of(db, child).lineage().to_dict()
    assert plain["children"][0]["run"] == child
    assert plain["children"][0]["children"] == []
    assert plain["run"] == top
    assert set(plain) == {
        *("run", "verb", "start", "step", "phase", "database", "is_self", "children")
    }


def test_parent_that_was_deleted_is_told(db: MemoryInterface) -> None:
    child = child_of("gone", db)
    tree = run_of(db, child).lineage()
    assert (tree.run, tree.phase, tree.step) == ("gone", "deleted", None)
    assert str(tree).startswith("gone  deleted, or never copied here\n")


def test_parent_in_another_database_is_told(db: MemoryInterface) -> None:
    child = child_of("afar", db, database="mongodb://me:***@host/lab")
    tree = run_of(db, child).lineage()
    assert (tree.phase, tree.database) == ("elsewhere", "mongodb://me:***@host/lab")
    assert str(tree).startswith("afar  in mongodb://me:***@host/lab\n")


def test_run_that_was_deleted_meanwhile_still_has_a_family(db: MemoryInterface) -> None:
    parent = child_of(None, db, "new")
    run = run_of(db, child_of(parent, db))
    lineage = run.lineage
    db.delete({"_id": run.id}, "runs")
    assert [kin.run for kin in lineage().walk()] == [parent, run.id]


def test_circle_in_damaged_data_ends(db: MemoryInterface) -> None:
    one = child_of("two", db)
    two = child_of(one, db)
    db.update({"_id": one}, {"$set": {"lineage.parent": two}}, collection="runs")
    tree = run_of(db, one).lineage()
    assert [kin.run for kin in tree.walk()] == [two, one]


def test_run_whose_process_died_reads_as_lost(db: MemoryInterface) -> None:
    parent = child_of(None, db, "new")
    writer = Writer(db)
    lineage = {**new_lineage(), "verb": "branch", "parent": parent}
    writer.recorder.create(dict(FIELDS), {**ENCODED, "lineage": lineage})
    killed(db, writer.recorder.run_id)
    (child,) = run_of(db, parent).lineage().children
    assert child.phase == "lost"
