"""A process may open few files, fewer than a database has: nothing is lost for that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
import numpy as np
import ptutils
from tests.core.stored import Writer

url, other = sys.argv[1:]
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
with ptutils.connect(url) as db:
    writer = Writer(db)
    run_id = writer.create()
    for number in range(300):
        if number % 3:
            db.save({"_id": number, "array": np.full(30_000, float(number))})
        else:
            writer.record(number + 1)
            writer.save(number + 1, weights=np.full(300_000, float(number)))
    writer.end()
with ptutils.connect(url) as db:
    assert len(db.find()) == 200
    views = [db._get(digest) for digest in db._stored()]
    assert len(views) == 300
    assert db.verify(repair=True) == []
    del views
    with ptutils.connect(other) as copy:
        copy.import_runs(db)
        assert copy.verify() == []
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        db.verify(repair=True)
    except ptutils.errors.DatabaseError as error:
        assert not isinstance(error, ptutils.errors.CorruptError), error
        print(error)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    assert db.verify() == []
"""


@pytest.mark.parametrize("scheme", ["", "files:"])
def test_hundreds_of_packs_are_read_with_few_descriptors(
    tmp_path: Path, scheme: str
) -> None:
    urls = (f"{scheme}{tmp_path / 'a.db'}", f"{scheme}{tmp_path / 'b.db'}")
    command = [sys.executable, "-c", SCRIPT, *urls]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot" in done.stdout
