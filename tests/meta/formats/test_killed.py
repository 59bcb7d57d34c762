"""A writer that is killed leaves the old file or the new one, in every format."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.soak import times

SUFFIXES = [
    *(".json", ".yaml", ".pt", ".safetensors"),
    *(".npz", ".h5", ".lmdb", ".tfrecord"),
]
PROGRAM = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from ptutils.meta.formats import read, write
from ptutils.testing.sameness import same

folder, rounds, *suffixes = sys.argv[1:]
old, new = ({"w": torch.full((30_000,), n), "n": (n,)} for n in (1.0, 2.0))
for suffix in suffixes:
    path = Path(folder) / f"state{suffix}"
    write(path, old)
    for _ in range(int(rounds)):
        before = path.stat().st_ino
        child = os.fork()
        if not child:
            while True:
                write(path, new)
                write(path, old)
        while path.stat().st_ino == before:
            time.sleep(0.001)
        time.sleep(random.random() * 0.03)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        back = read(path)
        assert same(back, old) or same(back, new), suffix
"""


@pytest.mark.parametrize("suffixes", [SUFFIXES[:4], SUFFIXES[4:]])
def test_a_killed_writer_leaves_the_old_file_or_the_new(tmp_path, suffixes):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), str(times(30)), *suffixes],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
