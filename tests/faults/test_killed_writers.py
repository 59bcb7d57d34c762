"""Writers that are killed while they save: what they were told is saved, is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.series import Series
from tests.mongod import running_mongod
from tests.soak import times

KILLS = times(50)
"""On each of four databases."""


@pytest.mark.parametrize("url", ["sqlite:runs.db", "files:runs"])
def test_nothing_is_lost_when_writers_are_killed(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scheme, _, name = url.partition(":")
    _kill_again_and_again(f"{scheme}:{tmp_path / name}")


@pytest.mark.mongo
@pytest.mark.parametrize("replica_set", [False, True])
def test_nothing_is_lost_on_a_server_when_writers_are_killed(
    replica_set: bool, tmp_path: Path
) -> None:
    with running_mongod(tmp_path, replica_set=replica_set) as server:
        _kill_again_and_again(server.url)


def _kill_again_and_again(url: str) -> None:
    series = Series(url, seed=KILLS)
    for _ in range(KILLS):
        series.cycle()
    series.end()
    assert series.num_checkpoints >= KILLS / 2
