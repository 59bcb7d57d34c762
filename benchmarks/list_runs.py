"""How long a person waits for ``import ptutils`` and for ``ptutils ls`` on 10,000 runs.

Each figure is the median of whole processes, the start of Python included. Run it with
``python benchmarks/list_runs.py``; it writes a database into a temporary folder.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

import ptutils
from ptutils.core.catalogue import find
from ptutils.meta.values import Document

RUNS = 10_000
REPEATS = 9
COMMANDS = {
    "python -c 'pass'": ([sys.executable, "-c", "pass"], None),
    "python -c 'import ptutils'": ([sys.executable, "-c", "import ptutils"], 0.1),
    "ptutils ls": ([sys.executable, "-m", "ptutils.cli", "ls"], 0.4),
    "ptutils ls QUERY": (
        [
            sys.executable,
            "-m",
            "ptutils.cli",
            "ls",
            "summary.valid.accuracy.max > 0.97",
            "--sort",
            "-summary.valid.accuracy.max",
        ],
        0.4,
    ),
}


def main() -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder) / "runs.db")
        table = Table("command", "median", "budget", title=f"{RUNS:,} runs")
        for name, (command, budget_s) in COMMANDS.items():
            budget = "" if budget_s is None else f"{budget_s:.1f} s"
            table.add_row(name, f"{_median_s(command, folder):.3f} s", budget)
        Console().print(table)


def _fill(path: Path) -> None:
    """Write one run by running it, then copies of it with other numbers."""
    db = ptutils.connect(str(path))
    config = ptutils.Config.read("examples/digits.yaml").override(
        {"schedule.duration": "1 step", "schedule.validate": None, "progress": False}
    )
    session = find("build")(
        config.override({"dbinterface": None}), provide={"dbinterface": db}
    )
    session.run()
    (template,) = db._find("runs", {})
    copies = [_copy(template, number) for number in range(1, RUNS)]
    with db._transaction():
        db._insert("runs", copies)
    db.close()


def _copy(template: Document, number: int) -> Document:
    accuracy = 0.9 + (number * 7919 % 1000) / 10_000
    metric = {"first": 0.1, "last": accuracy, "min": 0.1, "max": accuracy}
    steps = {f"{name}_step": 1 for name in metric}
    return {
        **template,
        "_id": f"{template['_id'][:-5]}{number:05d}",
        "created": template["created"] + timedelta(seconds=number),
        "experiment": f"group{number % 7}",
        "summary": {"valid": {"accuracy": metric | steps}},
    }


def _median_s(command: list[str], folder: str) -> float:
    times = []
    for _ in range(REPEATS):
        started_s = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        times.append(time.perf_counter() - started_s)
    return statistics.median(times)


if __name__ == "__main__":
    main()
