"""What a checkpoint holds is mapped privately, verified once, and stays what it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ptutils.core.dbinterface import DBInterface
from ptutils.core.records.checkpoint import Checkpoint
from ptutils.db.connect import connect
from ptutils.errors import CorruptError, NotFoundError
from ptutils.testing.sameness import same
from tests.core.stored import Writer

NUMBERS = torch.arange(300_000.0)
STATE = {
    "weights": NUMBERS,
    "same": NUMBERS.clone(),
    "other": NUMBERS * 2,
    "array": np.arange(40_000),
    "small": torch.ones(3),
}


@pytest.fixture(params=["sqlite:runs.db", "files:lab", "memory:"])
def db(
    request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DBInterface]:
    monkeypatch.chdir(tmp_path)
    with connect(request.param) as db:
        yield db


def stored(db: DBInterface, **state: Any) -> Checkpoint:
    writer = Writer(db)
    writer.create()
    return Checkpoint(db, writer.save(1, **(state or STATE)))


def test_whole_and_lazy_state_are_what_was_saved(db: DBInterface) -> None:
    checkpoint = stored(db)
    assert same(dict(checkpoint.read()), STATE)
    assert same(dict(checkpoint.state), STATE)
    assert same(dict(checkpoint.read(verify=False)), STATE)
    assert same(dict(checkpoint.read(device=None)), STATE)


@pytest.mark.parametrize("is_enabled", [True, False])
def test_reading_leaves_the_garbage_collector_as_it_was(
    db: DBInterface, *, is_enabled: bool
) -> None:
    checkpoint = stored(db)
    if not is_enabled:
        gc.disable()
    try:
        checkpoint.read()
        assert gc.isenabled() is is_enabled
    finally:
        gc.enable()


def test_tensors_of_two_states_are_written_apart(db: DBInterface) -> None:
    checkpoint = stored(db)
    first, second, lazy = checkpoint.read(), checkpoint.read(), checkpoint.state
    first.weights.zero_()
    first.array[:] = 0
    lazy.weights.fill_(1)
    assert torch.equal(second.weights, NUMBERS)
    assert same(dict(checkpoint.read()), STATE)
    assert db.verify() == []


def test_storages_of_equal_content_are_written_apart(db: DBInterface) -> None:
    state = stored(db).state
    state.weights.zero_()
    assert torch.equal(state.same, NUMBERS)
    state.same.fill_(1)
    assert state.weights.sum() == 0


def test_state_stays_when_its_checkpoint_is_cleaned_away(db: DBInterface) -> None:
    checkpoint = stored(db)
    read, lazy = checkpoint.read(), checkpoint.state
    assert torch.equal(lazy.weights, NUMBERS)
    db.delete({}, "checkpoints")
    db.delete({}, "runs")
    db.gc(grace_s=0)
    db.gc(grace_s=0)
    db.close()
    gc.collect()
    assert same(dict(read), STATE)
    assert torch.equal(lazy.weights, NUMBERS)
    with pytest.raises(NotFoundError, match="dropped since it was found"):
        _ = checkpoint.state


def test_path_reads_only_its_tensor(
    db: DBInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = stored(db).state
    asked: list[Any] = []
    get, private = db._get, db._private

    def noted(digests: Any) -> Any:
        view = private(digests)
        return view and (lambda names: (asked.append(names), view(names))[1])

    monkeypatch.setattr(
        db, "_get", lambda digest: (asked.append(digest), get(digest))[1]
    )
    monkeypatch.setattr(db, "_private", noted)
    assert torch.equal(state["other"], STATE["other"])
    assert torch.equal(state["other"], STATE["other"])
    assert len(asked) == 1


@pytest.mark.parametrize("url", ["sqlite:runs.db", "files:lab"])
class TestDamage:
    @pytest.fixture
    def checkpoint(
        self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Checkpoint]:
        """Return one whose ``other`` is damaged on disk."""
        monkeypatch.chdir(tmp_path)
        with connect(url) as db:
            checkpoint = stored(db)
            (path,) = Path().rglob("*.safetensors")
            content = bytearray(path.read_bytes())
            content[content.find(STATE["other"].numpy().tobytes())] ^= 1
            path.unlink()
            path.write_bytes(content)
            db.close()
            yield checkpoint

    def test_damaged_tensor_is_told_when_it_is_asked_for(
        self, checkpoint: Checkpoint
    ) -> None:
        state = checkpoint.state
        assert torch.equal(state.weights, NUMBERS)
        with pytest.raises(CorruptError, match="cannot read 'other'") as error:
            _ = state["other"]
        assert f"cannot load checkpoint {checkpoint.id!r}" in error.value.what
        assert "cannot read artifact " in error.value.what
        assert error.value.path.endswith(".safetensors")
        assert torch.equal(state.same, NUMBERS)
        with pytest.raises(CorruptError, match="cannot read 'other'"):
            _ = state.other

    def test_damaged_tensor_is_told_by_reading_all(
        self, checkpoint: Checkpoint
    ) -> None:
        with pytest.raises(CorruptError, match=f"checkpoint '{checkpoint.id}'"):
            checkpoint.read()

    def test_unverified_reading_takes_what_is_there(
        self, checkpoint: Checkpoint
    ) -> None:
        state = checkpoint.read(verify=False)
        assert not torch.equal(state.other, STATE["other"])
        assert torch.equal(state.other[1:], STATE["other"][1:])


@pytest.mark.parametrize("url", ["sqlite:runs.db", "files:lab"])
def test_many_states_in_memory_need_few_descriptors(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with connect(url) as db:
        checkpoint = stored(db)
        before = len(list(Path("/proc/self/fd").iterdir()))
        states = [checkpoint.read() for _ in range(120)]
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 80
        states[119].weights.zero_()
        assert all(same(dict(state), STATE) for state in states[60:119:10])


@pytest.mark.parametrize("url", ["sqlite:runs.db", "files:lab"])
def test_files_are_let_go_with_the_last_tensor_at_once(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with connect(url) as db:
        checkpoint = stored(db)
        checkpoint.read()
        gc.disable()
        try:
            before = len(list(Path("/proc/self/fd").iterdir()))
            weights = checkpoint.read(verify=False).weights
            assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
            assert torch.equal(weights, NUMBERS)
            del weights
            assert len(list(Path("/proc/self/fd").iterdir())) == before
        finally:
            gc.enable()


@pytest.mark.parametrize("url", ["sqlite:runs.db", "files:lab"])
def test_tensor_in_slices_is_mapped_in_one_piece(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    large = torch.arange(65 << 18, dtype=torch.int32)
    with connect(url) as db:
        writer = Writer(db)
        writer.create()
        first = Checkpoint(db, writer.save(1, large=large, twice=large * 2))
        monkeypatch.setattr(db, "_get", None)
        assert torch.equal(first.state.large, large)
        assert torch.equal(first.read().twice, large * 2)
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        changed = large.clone()
        changed[7] = -1
        second = Checkpoint(db, writer.save(2, large=changed, twice=large * 2))
        assert torch.equal(second.state.large, changed)
        assert torch.equal(second.read().large, changed)


def test_slices_of_equal_content_are_written_apart(db: DBInterface) -> None:
    zeros = torch.zeros(65 << 18, dtype=torch.int32)
    state = stored(db, a=zeros, b=zeros.clone()).state
    state.a[:100] = 1
    assert state.a.sum() == 100
    assert state.b.sum() == 0
