"""What checkpoints cost, beside PyTorch's own, safetensors, DCP and Lightning.

Run ``python benchmarks/checkpoint.py`` with the extra ``bench`` installed; it takes two
minutes, four gigabytes of the temporary folder and two of memory. One thread computes.

All save the same kind of State: the parameters and buffers of a ResNet-50 and Adam's
moments, 307 MB in 803 tensors, or 100 KB in all. Every checkpoint of ptutils is hashed,
deduplicated and durable, in a run that trains. What is loaded was written just before,
so that it is in the file cache. Of what is repeated the best and, in brackets, the
median is given; budgets are held against the best.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from saving.memory import Peak, extra_in_child, extra_of
from saving.models import Clock, frozen, resnet, run, small, tensors_of
from saving.peers import Copy, Distributed, Lightning, Safetensors, TorchSave, flushed
from storing.timing import Times, in_turn, once, times_of

import ptutils

MANY = 100
LARGE_TENSOR = "weights.156"


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=list(MEASURES), help="print one table")
    parser.add_argument("--memory-of", help="print what saving takes, and end")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # Peers warn of what is meant: one process.
    chosen = parser.parse_args()
    what = chosen.memory_of
    with tempfile.TemporaryDirectory() as folder:
        if what:
            print(MEMORY_OF[what](Path(folder)))
            return
    for measure in [chosen.only] if chosen.only else MEASURES:
        with tempfile.TemporaryDirectory() as folder:
            Console(width=110).print(MEASURES[measure](Path(folder)))


class Budgets(Table):
    """A table of what was measured, against what may be."""

    def __init__(self, what: str) -> None:
        super().__init__(what, "measured", "budget", "holds")

    def told(self, what: str, measured: str) -> None:
        """Add what has no budget."""
        self.add_row(what, measured, "", "")

    def held(
        self, what: str, measured: str, ratio: float, most: float, of: str
    ) -> None:
        """Add a ratio that may be so much at most."""
        holds = "yes" if ratio <= most else "MISSED"
        self.add_row(what, f"{measured}: {ratio:.2f}", f"{most} × {of}", holds)


def large(folder: Path) -> Table:
    """Save and load 307 MB."""
    table = Budgets("307 MB in 803 tensors")
    tensors = tensors_of(resnet())
    copy = times_of(Copy(tensors), 5)
    table.told(Copy.name, str(copy))
    saved = saved_by_peers(table, tensors, folder, 3)
    table.told("DCP async_save: stall, of which in all", stall_of_dcp(tensors, folder))
    lightning = Lightning(resnet, folder)
    table.told("Lightning, save", str(times_of(lightning.save, 2)))
    stall, beside, durable = stalls_of(resnet, folder / "runs.db", steps=13)
    table.held("ptutils, stall", str(stall), stall.best / copy.best, 1.2, "copy_")
    what = "ptutils, stall and what the next step is slower"
    # A difference can be less than nothing: its best says little.
    table.held(what, str(beside), beside.median / copy.median, 0.5, "copy_")
    ratio = durable.best / saved["safetensors"].best
    what = "ptutils, save until durable"
    table.held(what, str(durable), ratio, 1.2, "safetensors + fsync")
    load(table, folder, LARGE_TENSOR, 3)
    return table


def little(folder: Path) -> Table:
    """Save and load 100 KB."""
    table = Budgets("100 KB in 16 tensors")
    tensors = tensors_of(small())
    saved = saved_by_peers(table, tensors, folder, 20)
    stall, _, durable = stalls_of(small, folder / "runs.db", steps=61)
    table.told("ptutils, stall", str(stall))
    ratio = durable.best / saved["torch.save"].best
    table.held(
        "ptutils, save until durable", str(durable), ratio, 1.0, "torch.save + fsync"
    )
    load(table, folder, "weights.0", 20)
    return table


def saved_by_peers(
    table: Budgets, tensors: Any, folder: Path, repeats: int
) -> dict[str, Times]:
    """Time how peers save until it is durable, and how without waiting for the disk."""
    found = {}
    for peer in (TorchSave(tensors, folder), Safetensors(tensors, folder)):

        def durable(peer: Any = peer) -> None:
            peer.save()
            flushed(peer.path)

        table.told(f"{peer.name}, save", str(times_of(peer.save, repeats)))
        found[peer.name] = times_of(durable, repeats)
        table.told(f"{peer.name}, save + fsync", str(found[peer.name]))
        table.told(f"{peer.name}, on the disk", mb(peer.path))
    distributed = Distributed(tensors, folder)
    table.told(f"{distributed.name}, save", str(times_of(distributed.save, repeats)))
    return found


def stall_of_dcp(tensors: Any, folder: Path) -> str:
    """Return how long DCP stops training, and how long it takes."""
    distributed = Distributed(tensors, folder)
    stalled_s, all_s = min(distributed.save_async() for _ in range(3))
    return f"{stalled_s * 1e3:.1f} ms, {all_s * 1e3:.1f} ms"


def stalls_of(
    make: Callable[[], torch.nn.Module], path: Path, *, steps: int
) -> tuple[Times, Times, Times]:
    """Train and save every third step.

    Returns:
        How long training stands still; that and how much longer the next step takes
        beside the writing; and how long it is until the checkpoint is durable.
    """
    clock = Clock(3)
    run(make(), path, steps=steps, every=3, callbacks=[clock])
    saves = [step for step in clock.flushes if step > 3]  # The first makes buffers.
    durable = times([clock.gaps[step] + clock.flushes[step] for step in saves])
    beside = Clock(3, waits=1)
    run(make(), path, steps=steps, every=3, callbacks=[beside])
    quiet_s = statistics.median(beside.steps[step + 1] for step in saves)
    stalls = [
        *(clock.gaps[step] for step in saves),
        *(beside.gaps[step] for step in saves),
    ]
    slower = [beside.gaps[step] + beside.steps[step] - quiet_s for step in saves]
    return times(stalls), times(slower), durable


def load(table: Budgets, folder: Path, name: str, repeats: int) -> None:
    """Load what was saved, in turn with the peers."""
    peers = TorchSave({}, folder), Safetensors({}, folder)
    theirs = times_of(peers[0].load, repeats)
    table.told("torch.load(weights_only=True)", str(theirs))
    table.told(
        "torch.load(mmap=True)", str(times_of(lambda: peers[0].load(True), repeats))
    )
    mapped = times_of(peers[1].load, repeats)
    table.told("safetensors, load", str(mapped))
    table.told(
        "safetensors, one tensor",
        str(times_of(lambda: peers[1].load_one(name), repeats)),
    )
    path = folder / "runs.db"
    table.told("ptutils, both runs on the disk", mb(path, Path(f"{path}.artifacts")))
    with ptutils.connect(path) as db:
        checkpoint = db.runs.find()[0].checkpoints[-1]
        verified = times_of(checkpoint.read, repeats)
        unverified = times_of(lambda: checkpoint.read(verify=False), repeats)
        opened = times_of(lambda: checkpoint.state, repeats)
        one = times_of(lambda: checkpoint.state[f"trainer.model.net.{name}"], repeats)
    most = 0.9 if repeats < 10 else 0.5
    ratio = verified.best / theirs.best
    what = "ptutils, load, every byte verified"
    table.held(what, str(verified), ratio, most, "torch.load")
    ratio = unverified.best / mapped.best
    what = "ptutils, load, unverified"
    table.held(what, str(unverified), ratio, 1.0, "safetensors")
    table.told("ptutils, open", str(opened))
    table.told("ptutils, open and read one tensor", str(one))


def memory(folder: Path) -> Table:
    """Save 307 MB in processes of their own."""
    table = Budgets("memory that saving 307 MB takes at its peak")
    for what in MEMORY_OF:
        extra = extra_in_child(__file__, "--memory-of", what)
        measured = f"{extra / 1e6:.0f} MB"
        if what == "ptutils":
            table.held(what, measured, extra / 307e6, 1.05, "what changed")
        else:
            table.told(what, measured)
    return table


@ptutils.register
class Measured(ptutils.Callback):
    """Tells what the checkpoint after the first step takes."""

    def end_of_training_step(self, session: Any) -> None:
        """Begin to watch, without gradients that would make room meanwhile."""
        session.trainer.model.net.zero_grad()
        self._peak = Peak()

    def start_of_training_step(self, step: int, session: Any) -> None:
        """Wait for the checkpoint, and tell."""
        if step == 1:
            session.flush()
            self.extra = self._peak.extra()


def extra_of_ptutils(folder: Path) -> int:
    """Return the bytes that a checkpoint of a running Session takes."""
    measured = Measured()
    run(resnet(), folder / "runs.db", steps=2, every=1, callbacks=[measured])
    return measured.extra


def extra_of_dcp(folder: Path) -> int:
    """Return the bytes that DCP's asynchronous save takes."""
    return extra_of(Distributed(tensors_of(resnet()), folder).save_async)


def extra_of_torch(folder: Path) -> int:
    """Return the bytes that torch.save takes, which stops training for so long."""
    return extra_of(TorchSave(tensors_of(resnet()), folder).save)


MEMORY_OF = {
    "ptutils": extra_of_ptutils,
    "torch.distributed.checkpoint, async_save": extra_of_dcp,
    "torch.save": extra_of_torch,
}


def mostly_frozen(folder: Path) -> Table:
    """Save 100 times what hardly changes."""
    table = Budgets(f"{MANY} checkpoints of 22 MB of which 95% never change")
    net = frozen()
    peer = TorchSave({**net.state_dict(), "moments": torch.rand(2, 28, 3_000)}, folder)
    peer.save()
    path = folder / "runs.db"
    run(net, path, steps=MANY, every=1)
    ours = size(path, Path(f"{path}.artifacts"))
    theirs = MANY * size(peer.path)
    table.held(
        "ptutils, on the disk",
        f"{ours / 1e6:.0f} MB",
        ours / theirs,
        0.08,
        "torch.save",
    )
    with ptutils.connect(path) as db:
        checkpoints = db.runs.find()[0].checkpoints
        first, last = in_turn(checkpoints[0].read, checkpoints[-1].read, 15)
    table.told("ptutils, load the first", str(first))
    table.held(
        "ptutils, load the last", str(last), last.best / first.best, 1.1, "the first"
    )
    return table


def every_step(folder: Path) -> Table:
    """Save a small model after each of 1,000 steps."""
    table = Budgets("1,000 steps of a model of 100 KB")
    bare, saving = [], []
    for number in range(2):
        path = folder / f"{number}.db"
        bare.append(once(lambda path=path: run(small(), path, steps=1000, every=None)))
        saving.append(once(lambda path=path: run(small(), path, steps=1000, every=1)))
    table.told("without saving", f"{min(bare) * 1e3:.0f} ms")
    ratio = min(saving) / min(bare)
    table.held(
        "saved after every step", f"{min(saving) * 1e3:.0f} ms", ratio, 1.2, "without"
    )
    files = [each for each in folder.rglob("0.db*") if each.is_file()]
    table.held("files", f"{len(files)}", len(files), 10, "1")
    table.told("on the disk", mb(folder / "0.db"))
    return table


def compressed(folder: Path) -> Table:
    """Compress what States hold, as ``compression="zstd"`` does."""
    table = Table("zstd", "size after", "compressed", "expanded")
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError:
        table.add_row("not installed: zstandard", "", "", "")
        return table
    trained = tensors_of(resnet())
    weights = trained[LARGE_TENSOR]
    kinds = {
        "float32 weights": weights,
        "the same in bfloat16": weights.bfloat16(),
        "Adam's first moments": trained["optimizer.156.exp_avg"],
        "Adam's second moments": trained["optimizer.156.exp_avg_sq"],
        "int8 embeddings": (torch.randn(1 << 21) * 30).clamp(-127, 127).to(torch.int8),
        "int64 tokens": torch.randint(50_000, (1 << 18,)),
        "zeros": torch.zeros(1 << 21),
    }
    for name, tensor in kinds.items():
        content = tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        frame = zstandard.compress(content, 1)
        speeds = [
            len(content) / 1e6 / times_of(act, 5).best
            for act in (
                lambda content=content: zstandard.compress(content, 1),
                lambda frame=frame: zstandard.decompress(frame),
            )
        ]
        share = f"{len(frame) / len(content):.0%}"
        table.add_row(name, share, *(f"{speed:.0f} MB/s" for speed in speeds))
    return table


MEASURES = {
    measure.__name__: measure
    for measure in (large, little, memory, mostly_frozen, every_step, compressed)
}


def times(seconds: list[float]) -> Times:
    """Return the best and the median."""
    return Times(min(seconds), statistics.median(seconds))


def size(*paths: Path) -> int:
    """Return the bytes of files and folders."""
    files = [file for path in paths for file in (path, *path.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file())


def mb(*paths: Path) -> str:
    """Return the size of files and folders in words."""
    return f"{size(*paths) / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
