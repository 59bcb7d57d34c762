"""A process that is killed while it saves: what it was told is saved, is there."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from ptutils.db.sqlite import SQLiteInterface

SCRIPT = """
import sys
import numpy
from ptutils.db.sqlite import SQLiteInterface

db = SQLiteInterface(sys.argv[1])
print("ready", flush=True)
for number in range(10**9):
    content = numpy.full(1000, number * 10 + int(sys.argv[2]))
    document = {"number": number, "content": content, "pair": (1, number)}
    print(db.save(document), flush=True)
    db.update({"number": number}, {"$set": {"is_done": True}})
"""


def test_acknowledged_documents_survive_kill(tmp_path: Path) -> None:
    chance = random.Random(0)  # noqa: S311
    url = str(tmp_path / "runs.db")
    saved: list[str] = []
    for number in range(10):
        child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, url, str(number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.15))
        child.kill()
        saved.extend(line.strip() for line in child.stdout if line.endswith("\n"))
        child.stdout.close()
        child.wait()
    with SQLiteInterface(url) as db:
        found = db.load_from_ids(saved)
        assert all(each["pair"] == (1, each["number"]) for each in found)
        assert all((each["content"] // 10 == each["number"]).all() for each in found)
        assert len(saved) > 10
        assert db.save({"_id": "after"}) == "after"
