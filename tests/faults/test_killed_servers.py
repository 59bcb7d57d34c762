"""A mongod that is killed while a run is written: what it acknowledged, is there."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.faults.series import Series
from tests.mongod import running_mongod
from tests.soak import times

KILLS = times(20)
"""Half of them of a member of a replica set."""


@pytest.mark.mongo
@pytest.mark.parametrize("replica_set", [False, True])
def test_nothing_is_lost_when_the_server_is_killed(
    replica_set: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chance = random.Random(KILLS)  # noqa: S311
    with running_mongod(tmp_path / "server", replica_set=replica_set) as server:
        series = Series(server.url, seed=KILLS)
        for _ in range(max(1, KILLS // 2)):
            child = series.start()
            child.until_told()
            time.sleep(chance.uniform(0.2, 1.0))
            server.kill()
            server.start()
            time.sleep(chance.uniform(0.0, 1.0))  # The writer may have gone on.
            series.note(child.kill())
            series.check()
        series.end()
        assert series.num_checkpoints >= KILLS / 2
