"""Arrays of more than 2 GiB: stored in parts, never held twice. Only in a soak."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mongod import running_mongod
from tests.soak import IS_SOAK

PROGRAM = """
import json, resource, sys
import numpy as np
import ptutils

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

array = np.arange(2**28 + 17, dtype=np.uint64)
with ptutils.connect(sys.argv[1]) as db:
    before = peak_mib()
    db.save({"_id": 1, "array": array})
    saved = peak_mib() - before
    del array
    found = db.load(1)["array"]
    loaded = peak_mib() - before
    part = 2**20
    is_equal = all(
        np.array_equal(found[at : at + part], np.arange(at, min(at + part, len(found))))
        for at in range(0, len(found), part)
    )
print(json.dumps({"saved": saved, "loaded": loaded, "is_equal": is_equal}))
"""
"""Prints how much memory was needed beside the array itself, in MiB."""


@pytest.fixture(params=["sqlite", "files", "mongodb"])
def url(request: Any, tmp_path: Path) -> Iterator[str]:
    if request.param != "mongodb":
        yield f"{request.param}:{tmp_path / 'large'}"
        return
    with running_mongod(tmp_path) as server:
        yield server.url


@pytest.mark.skipif(not IS_SOAK, reason="takes minutes and 5 GB of disk")
def test_array_of_two_gibibytes_is_stored_and_loaded_in_parts(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url],
        capture_output=True,
        check=True,
        text=True,
        timeout=600,
    )
    told = json.loads(done.stdout)
    assert told["is_equal"]
    assert told["saved"] < 200
    assert told["loaded"] < 2500
