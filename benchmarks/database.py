"""What ptutils' databases cost, beside MLflow, trackio, Sacred and plain pymongo.

Run ``python benchmarks/database.py`` with the extra ``bench`` installed; it takes some
minutes and a gigabyte of the temporary folder. ``--small`` measures the same on little.
Budgets stand beside the figures. Of what is repeated the best and, in brackets, the
median is given; they part where others use the machine. Ratios are those of medians.

The training thread's time for one scalar is that thread's own; all other times are what
a clock on the wall says. A peer that is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from storing.peers import MLflow, Sacred, Trackio
from storing.runs import FILTER, LR, SORT, copies_of, log_many, trained, write_runs
from storing.server import compare, server
from storing.timing import once, process_times, times_of

import ptutils
from ptutils.core.dbinterface import DBInterface
from ptutils.meta.values import Document

QUERY = f"{LR} < 0.01 and config.seed = 3"
PEERS: tuple[Callable[[Path], Any], ...] = (MLflow, Trackio, Sacred)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured."""

    runs: int = 100_000
    points: int = 1_000_000
    peer_points: int = 20_000
    best_runs: int = 1_000
    peer_runs: int = 1_000
    points_per_run: int = 100
    server_runs: int = 10_000
    server_bytes: int = 300_000_000


SMALL = Sizes(
    runs=2_000,
    points=50_000,
    peer_points=500,
    best_runs=50,
    peer_runs=10,
    points_per_run=20,
    server_runs=200,
    server_bytes=30_000_000,
)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="measure on little")
    sizes = SMALL if parser.parse_args().small else Sizes()
    template = trained()
    for measure in (many_runs, scalars, best_of_runs, many_writers, on_a_server):
        with tempfile.TemporaryDirectory() as folder:
            Console().print(measure(Path(folder), sizes, template))


def many_runs(folder: Path, sizes: Sizes, template: Document) -> Table:
    """Ask for a few of very many runs in SQLite."""
    path = folder / "runs.db"
    with ptutils.connect(str(path)) as db:
        documents = copies_of(template, sizes.runs)
        while batch := list(islice(documents, 1_000)):
            db._insert("runs", batch)
        first_s = once(lambda: db.runs.find(FILTER, sort=SORT, limit=20))
        warm = times_of(lambda: db.runs.find(FILTER, sort=SORT, limit=20))
        insert = times_of(_insertion(db, template), 100)
    open = times_of(lambda: _open(path))
    listing = [sys.executable, "-m", "ptutils.cli", "ls", QUERY, "--limit", "20"]
    ls = process_times([*listing, "--sort", f"-{SORT[0][0]}"], folder)
    table = Table(f"{sizes.runs:,} runs in SQLite", "measured", "budget")
    table.add_row("two config paths, sorted by a metric, 20", str(warm), "20 ms")
    table.add_row("the same for the first time: indexes are made", ms(first_s), "")
    table.add_row("ptutils ls with the same, whole process", str(ls), "1000 ms")
    table.add_row("insert a run, durable", str(insert), "2 ms")
    table.add_row("open the database", str(open), "50 ms")
    return table


def scalars(folder: Path, sizes: Sizes, template: Document) -> Table:
    """Log scalars, and read them."""
    with ptutils.connect(str(folder / "runs.db")) as db:
        run_id, own_s, all_s = log_many(db, sizes.points)
        run = db.runs.get(run_id)
        read = times_of(lambda: run.history["loss"], 9)
    table = Table("one scalar", "measured", "budget")
    count = f"{sizes.points:,} in a run"
    table.add_row(
        f"ptutils, training thread, {count}", us(own_s / sizes.points), "1 µs"
    )
    table.add_row("ptutils, until it is durable", us(all_s / sizes.points), "10 µs")
    for name, peer in _peers(folder):
        measured = "not installed"
        if peer is not None:
            measured = us(peer.scalar_s(sizes.peer_points))
        table.add_row(f"{name}, until it is written", measured, "")
    table.add_row(f"ptutils, read a column of {sizes.points:,}", str(read), "100 ms")
    return table


def best_of_runs(folder: Path, sizes: Sizes, template: Document) -> Table:
    """Write runs, and ask for those with the lowest loss ever."""
    chance = random.Random(1)  # noqa: S311 - not for secrets
    points = [
        [chance.random() for _ in range(sizes.points_per_run)]
        for _ in range(sizes.best_runs)
    ]
    path = folder / "runs.db"
    with ptutils.connect(str(path)) as db:
        write_s = once(lambda: write_runs(db, template["config"], points))
        best = times_of(lambda: _best(db))
        lowest = [run.summary.loss.min for run in _best(db)]
    size = sum(each.stat().st_size for each in path.parent.iterdir() if each.is_file())
    what = f"{sizes.best_runs:,} runs of {sizes.points_per_run} points"
    table = Table(what, "measured", "budget")
    table.add_row("ptutils, write them", ms(write_s), "15000 ms")
    table.add_row("ptutils, on the disk", f"{size / 1e6:.1f} MB", "15 MB")
    table.add_row("ptutils, the 10 with the lowest loss ever", str(best), "5 ms")
    for name, peer in _peers(folder):
        measured = "not installed"
        if peer is not None and hasattr(peer, "best"):
            few = points[: sizes.peer_runs]
            peer.fill(few)
            measured = ms(once(lambda peer=peer: peer.best(10)))
            if len(few) == len(points) and peer.best(10) != lowest:
                measured += ", another answer"
        elif peer is not None:
            measured = "answers no queries"
        table.add_row(f"{name}, the same", measured, "")
    return table


def many_writers(folder: Path, sizes: Sizes, template: Document) -> Table:
    """Write to one SQLite file from eight processes."""
    url = str(folder / "runs.db")
    ptutils.connect(url).close()
    spawn = multiprocessing.get_context("spawn")
    gate = spawn.Barrier(8)
    with spawn.Pool(8, initializer=_wait_at, initargs=(gate,)) as pool:
        slowest_s = max(pool.map(_write_200, [url] * 8, chunksize=1))
    table = Table("8 processes, 200 scalars each", "measured", "budget")
    table.add_row("the slowest", ms(slowest_s), "1000 ms")
    return table


def on_a_server(folder: Path, sizes: Sizes, template: Document) -> Table:
    """Do the same on a MongoDB server through ptutils and through pymongo."""
    table = Table("mongod", "ptutils", "pymongo", "ratio", "budget")
    try:
        with server() as url:
            found = compare(url, template, sizes.server_runs, sizes.server_bytes)
    except ImportError as error:
        table.add_row(f"not installed: {error.name}", "", "", "", "")
        return table
    for what, (ours, theirs) in found.items():
        ratio = f"{ours.median / theirs.median:.2f}"
        table.add_row(what, str(ours), str(theirs), ratio, "1.5")
    return table


def ms(seconds: float) -> str:
    """Write milliseconds."""
    return f"{seconds * 1e3:.1f} ms"


def us(seconds: float) -> str:
    """Write microseconds."""
    return f"{seconds * 1e6:.2f} µs"


def _insertion(db: DBInterface, template: Document) -> Callable[[], None]:
    numbers = iter(range(1_000_000))
    return lambda: db._insert("runs", [{**template, "_id": f"one{next(numbers)}"}])


def _open(path: Path) -> None:
    with ptutils.connect(str(path)) as db:
        db.exists({}, "runs")


def _best(db: DBInterface) -> Any:
    return db.runs.find({"config.seed": 1}, sort=[("summary.loss.min", 1)], limit=10)


def _peers(folder: Path) -> Iterator[tuple[str, Any]]:
    for peer in PEERS:
        try:
            yield peer.name, peer(folder)
        except ImportError:
            yield peer.name, None


_gates: list[Any] = []


def _wait_at(gate: Any) -> None:
    _gates.append(gate)
    importlib.import_module("ptutils.core.records.writing.recorder")


def _write_200(url: str) -> float:
    with ptutils.connect(url) as db:
        db.exists({}, "runs")
        _gates[0].wait()
        return log_many(db, 200)[2]


if __name__ == "__main__":
    main()
