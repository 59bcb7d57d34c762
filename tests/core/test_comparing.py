"""Two States, or two runs, compared: what differs, and by how much."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import ptutils
from ptutils.core.records.checkpoint import Checkpoint
from ptutils.errors import StateMismatchError
from tests.core.stored import Writer


def test_equal_states_are_the_same_bits() -> None:
    found = ptutils.diff(
        {"a": torch.ones(2), "b": 1}, ptutils.State(a=torch.ones(2), b=1)
    )
    assert not found
    assert str(found) == found.summary() == "the same bits in 2 leaves"
    assert found.equal == ["a", "b"]
    assert repr(found) == "StateDiff(the same bits in 2 leaves)"


def test_what_differs_is_told_leaf_by_leaf() -> None:
    found = ptutils.diff({"a": torch.zeros(2), "b": 1}, {"a": torch.ones(2), "b": 1})
    assert found
    assert len(found) == 1
    assert [change.path for change in found] == ["a"]
    assert found["a"].distance.max_abs == 1.0
    assert found.summary() == "1 of 2 leaves differ"
    with pytest.raises(KeyError):
        found["b"]


def test_the_table_shows_kinds_and_distances() -> None:
    ours = {"a": torch.tensor([3.0, float("nan")]), "b": "x"}
    theirs = {"a": torch.tensor([4.0, 1.0]), "c": 1}
    title, a, b, c = str(ptutils.diff(ours, theirs).table()).splitlines()
    assert " ".join(title.split()).endswith("cosine elements ours theirs")
    assert "2 of 2, 1 NaN on one side" in a
    assert a.split()[:6] == ["a", "changed", "1", "1", "0.333", "1.000000"]
    assert b.split() == ["b", "only", "ours", "'x'"]
    assert c.split() == ["c", "only", "theirs", "1"]
    assert "<table>" in ptutils.diff(ours, theirs)._repr_html_()


def test_shared_memory_and_order_are_told_where_leaves_are_equal() -> None:
    weight = torch.ones(2)
    found = ptutils.diff({"a": weight, "b": weight}, {"a": weight, "b": weight.clone()})
    assert found
    assert not found.changed
    assert str(found).startswith("all 2 leaves are equal; their order, or which")


def test_everything_is_told_as_plain_values() -> None:
    plain = ptutils.diff({"a": 1, "b": 2}, {"a": 1, "b": 4}).to_dict()
    assert (plain["is_same"], plain["equal"]) == (False, ["a"])
    (change,) = plain["changed"]
    assert (change["path"], change["kind"], change["ours"]) == ("b", "changed", "2")
    assert change["distance"]["norm"] == 2.0
    assert len(set(plain["digests"])) == 2


def test_checkpoints_files_and_nets_are_compared_by_their_states(
    tmp_path: Path,
) -> None:
    net = nn.Linear(2, 1)
    state = ptutils.State(net.state_dict())
    writer = Writer()
    writer.create()
    checkpoint = Checkpoint(writer.db, writer.save(1, **state))
    path = state.save(tmp_path / "net.safetensors")
    for other in (checkpoint, checkpoint.state, path, str(path), state):
        assert not ptutils.diff(net, other).changed


def test_runs_are_compared_section_by_section() -> None:
    writer = Writer()
    writer.create()
    (run,) = writer.db.runs.find()
    assert not ptutils.diff(run, run)
    assert set(ptutils.diff(run, run)) == {"config", "source", "summary"}


@pytest.mark.parametrize("other", [3, None])
def test_what_has_no_state_is_refused(other: object) -> None:
    with pytest.raises(StateMismatchError, match="two runs, or two of"):
        ptutils.diff({"a": 1}, other)


def test_a_run_beside_a_state_is_refused() -> None:
    writer = Writer()
    writer.create()
    (run,) = writer.db.runs.find()
    with pytest.raises(StateMismatchError, match=r"run\.checkpoint\(step\)"):
        ptutils.diff(run, {"a": 1})
