"""A checkpoint comes back exactly, or says which one is damaged and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from blake3 import blake3

import ptutils
from ptutils.core.records.checkpoint import Checkpoint, decode_fields, encode_fields
from ptutils.db.memory import MemoryInterface
from ptutils.errors import CorruptError, EncodeError, NotFoundError
from ptutils.meta.digest import stored_digest
from tests.core.stored import Writer

SMALL = {"weights": torch.arange(300.0), "betas": (0.9, 0.99), "seed": 2**100}
LARGE = {"weights": torch.arange(300_000.0)}


@pytest.fixture
def writer() -> Writer:
    writer = Writer()
    writer.create()
    return writer


def stored(writer: Writer, **state: Any) -> Checkpoint:
    return Checkpoint(writer.db, writer.save(3, **state))


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def damage(writer: Writer, path: str, change: Any) -> None:
    """Change one value of the stored document as a failing disk would."""
    (document,) = writer.db._find("checkpoints", {})
    value: Any = document
    for name in path.split("."):
        value = value[int(name) if isinstance(value, list) else name]
    writer.db._update("checkpoints", {}, {"$set": {path: change(value)}})


def test_state_comes_back_equal_and_of_the_same_types(writer: Writer) -> None:
    state = stored(writer, **SMALL).state
    assert torch.equal(state.weights, SMALL["weights"])
    assert (state.betas, state.seed) == ((0.9, 0.99), 2**100)


def test_checkpoint_tells_when_and_why_it_was_taken(writer: Writer) -> None:
    checkpoint = stored(writer)
    assert (checkpoint.step, checkpoint.epoch, checkpoint.why) == (3, 0, "schedule")
    assert (checkpoint.segment, checkpoint.chunks) == (0, 0)
    assert (checkpoint.run, checkpoint.elapsed_s) == (writer.recorder.run_id, 1.5)
    assert repr(checkpoint) == f"Checkpoint({checkpoint.id!r}, step=3, epoch=0)"


def test_digest_is_equal_for_equal_bits_alone(writer: Writer) -> None:
    first = stored(writer, **SMALL).digest
    assert stored(writer, **SMALL).digest == first
    changed = {**SMALL, "weights": SMALL["weights"].clone()}
    assert stored(writer, **changed).digest == first
    changed["weights"][0] = 1e-30
    assert stored(writer, **changed).digest != first
    assert stored(writer, **{**SMALL, "betas": [0.9, 0.99]}).digest != first


def test_digest_does_not_depend_on_the_database(tmp_path: Path) -> None:
    digests = set()
    for db in (MemoryInterface(), ptutils.connect(str(tmp_path / "runs.db"))):
        writer = Writer(db)
        writer.create()
        digests.add(stored(writer, **LARGE).digest)
        db.close()
    assert len(digests) == 1


@pytest.mark.parametrize(
    "content", [SMALL, LARGE, {"sliced": torch.ones(65 << 20, dtype=torch.uint8)}]
)
def test_digest_is_that_of_the_state_in_memory(
    writer: Writer, content: dict[str, Any]
) -> None:
    state = ptutils.State(content)
    fields = {"step": 3, "epoch": 0, "why": "manual", "metrics": {}, "elapsed_s": 1.5}
    checkpoint = Checkpoint(writer.db, writer.checkpoint(state, fields, None))
    assert checkpoint.digest == state.digest() == checkpoint.state.digest()


def test_small_state_is_whole_in_its_document(writer: Writer) -> None:
    (artifact,) = writer.save(3, **SMALL)["artifacts"]
    assert isinstance(artifact, bytes)
    assert not writer.db._artifacts


def test_large_state_goes_to_the_artifacts(writer: Writer) -> None:
    (artifact,) = writer.save(3, **LARGE)["artifacts"]
    assert list(writer.db._artifacts) == [artifact]
    (checkpoint,) = writer.db.runs.find()[0].checkpoints
    assert torch.equal(checkpoint.state.weights, LARGE["weights"])


def test_state_that_cannot_be_stored_is_refused_with_its_path(writer: Writer) -> None:
    with pytest.raises(EncodeError, match="oddity"):
        writer.save(3, oddity=object())
    assert writer.db._count("checkpoints", {}) == 0


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("artifacts.0", flipped),
        ("state.skeleton", lambda text: text.replace("weights", "weighty")),
        ("state.types", lambda text: text + " "),
        ("state.digest", lambda text: text[::-1]),
    ],
)
def test_damaged_document_is_an_error_that_names_the_checkpoint(
    writer: Writer, path: str, change: Any
) -> None:
    checkpoint = stored(writer, **SMALL)
    damage(writer, path, change)
    with pytest.raises(
        CorruptError, match=r"cannot load checkpoint '\w+\.00000003"
    ) as e:
        _ = checkpoint.state
    assert checkpoint.id in str(e.value)
    assert "ptutils resume RUN --step N, or run.resume(step=...)" in e.value.fix


def on_disk(folder: Path) -> tuple[Checkpoint, Path]:
    """Return a checkpoint in a SQLite database, and the pack that it needs."""
    writer = Writer(ptutils.connect(str(folder / "runs.db")))
    writer.create()
    checkpoint = stored(writer, **LARGE)
    (pack,) = folder.glob("runs.db.artifacts/*.safetensors")
    return checkpoint, pack


@pytest.mark.parametrize("change", [flipped, lambda content: content[:-64]])
def test_damaged_pack_is_an_error_that_names_checkpoint_and_pack(
    tmp_path: Path, change: Any
) -> None:
    checkpoint, pack = on_disk(tmp_path)
    content = pack.read_bytes()
    pack.unlink()
    pack.write_bytes(change(content))
    with pytest.raises(CorruptError, match=f"cannot load checkpoint '{checkpoint.id}'"):
        _ = checkpoint.state.weights
    with pytest.raises(CorruptError, match=str(pack)):
        checkpoint.read()
    pack.unlink()
    pack.write_bytes(content)
    assert torch.equal(checkpoint.state.weights, LARGE["weights"])


def test_missing_pack_is_an_error_that_names_the_checkpoint(tmp_path: Path) -> None:
    checkpoint, pack = on_disk(tmp_path)
    pack.unlink()
    with pytest.raises(CorruptError, match=f"cannot load checkpoint '{checkpoint.id}'"):
        checkpoint.read()


def test_missing_artifact_is_an_error_that_names_the_checkpoint(writer: Writer) -> None:
    checkpoint = stored(writer, **LARGE)
    writer.db._artifacts.clear()
    with pytest.raises(
        NotFoundError, match=f"cannot load checkpoint '{checkpoint.id}'"
    ):
        checkpoint.read()


def test_pruned_checkpoint_is_not_found(writer: Writer) -> None:
    checkpoint = stored(writer)
    writer.db.delete({}, "checkpoints")
    with pytest.raises(NotFoundError, match="dropped since it was found"):
        _ = checkpoint.state


def test_checkpoint_of_a_changed_tree_has_its_own_config(writer: Writer) -> None:
    assert stored(writer).config is None
    fields = {"step": 4, "epoch": 0, "why": "last", "metrics": {}, "elapsed_s": 0.0}
    config = {"class": "Session", "betas": (0.5, 0.6)}
    document = writer.checkpoint({}, fields, config)
    assert Checkpoint(writer.db, document).config == config
    (read, *_) = reversed(writer.db.runs.find()[0].checkpoints)
    assert read.config == config


def embedding() -> torch.Tensor:
    """Return what is stored in slices: 17 MiB more than what is not."""
    return torch.arange(81 << 18, dtype=torch.int32)


def test_large_tensor_of_which_little_changed_is_stored_for_little(
    writer: Writer,
) -> None:
    state = {"embedding": embedding()}
    assert writer.save(3, **state)["slices"] == [6]
    before = set(writer.db._stored())
    state["embedding"][5] = -1
    checkpoint = Checkpoint(writer.db, writer.save(4, **state))
    assert len(before) == 6
    assert len(writer.db._stored()) == 7
    assert torch.equal(checkpoint.state.embedding, state["embedding"])


def test_large_tensor_that_an_older_version_stored_whole_loads(writer: Writer) -> None:
    checkpoint = stored(writer, embedding=embedding(), small=torch.ones(3))
    (document,) = writer.db._find("checkpoints", {})
    stored_state = document["state"]
    (whole,) = writer.db._put([embedding().numpy().tobytes()])
    items = [whole, document["artifacts"][-1]]
    digests = [whole, blake3(items[1]).hexdigest()]
    digest = stored_digest(stored_state["skeleton"], stored_state["types"], digests)
    change = {"artifacts": items, "state.digest": digest}
    writer.db._update("checkpoints", {}, {"$set": change, "$unset": {"slices": ""}})
    assert torch.equal(checkpoint.state.embedding, embedding())


@pytest.mark.parametrize("counts", [[5, 1], [1] * 6, [6, 0], [7, -1], [], ["6", 1]])
def test_counts_of_slices_that_do_not_fit_are_refused(
    writer: Writer, counts: list[Any]
) -> None:
    checkpoint = stored(writer, embedding=embedding())
    damage(writer, "slices", lambda _: counts)
    with pytest.raises(CorruptError, match=checkpoint.id.replace(".", r"\.")):
        _ = checkpoint.state


@pytest.mark.parametrize("value", [[1, 2], (1, 2), {"a": torch.ones(2)}])
def test_encoded_fields_come_back(value: Any) -> None:
    db = MemoryInterface()
    document = encode_fields(db, {"config": value, "source": {}})
    assert str(decode_fields(db, document, ["config"])["config"]) == str(value)


def test_encoded_fields_without_types_say_so_when_they_replace_others() -> None:
    assert encode_fields(MemoryInterface(), {"config": [1]})["_ptutils"] is None
